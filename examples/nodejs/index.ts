// A registry that this program deploys itself, through the Automation API. It needs the engine, but no language host.
//     npm start               # deploys
//     npm start -- destroy
import { PrivateRegistry } from "@platform/private-registry";
import { LocalWorkspace } from "@pulumi/pulumi/automation";

async function createRegistry() {
    const { endpoint, caPem, username, password, namespace } = new PrivateRegistry("nodejs", {
        hostname: "nodejs.registry.example.com",
        port: 5005,
        namespace: "registry-from-nodejs",
        storagePath: "/var/lib/registry-from-nodejs",
        storageSize: "1Gi",
        certificateKey: "P-384",
        robots: { ci: { repositories: ["team/*"], rights: ["push"] } },
    });
    return { endpoint, caPem, username, password, namespace };
}

async function main() {
    const stack = await LocalWorkspace.createOrSelectStack(
        { stackName: "dev", projectName: "registry-from-nodejs", program: createRegistry },
        { workDir: "." },
    );
    if (process.argv[2] === "destroy") {
        await stack.destroy({ onOutput: console.log });
        return;
    }
    const { outputs } = await stack.up({ onOutput: console.log });
    console.log(`docker login ${outputs.endpoint.value} --username ${outputs.username.value}`);
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});
