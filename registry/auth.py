"""Who may push and pull: users, their bcrypt hashes, and the htpasswd Secret that the registry reads.

The hash is made here, with a salt kept in the state, and not taken from `RandomPassword.bcrypt_hash`: that one has
cost 10, and the registry hashes on every request (docs/adr/0003-bcrypt-cost.md). A user's line depends on that user
alone, so others come and go without touching it, and the registry reads the file again by itself.

That takes a while: the kubelet hands a changed Secret on within about 90 s. A password that changes in one step is
refused for so long, and the old one is accepted. So a generated one changes in three (docs/adr/0015): its next
generation is accepted too, `[1, 2]`; then, when both are, it is handed out, `[2, 1]`, and nothing changes here; then
the old one is dropped, `[2]`.
"""

from collections.abc import Mapping

import bcrypt
import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from .args import PrivateRegistryArgs
from .metadata import Metadata
from .validation import credentials
from .validation.logins import accepted, handed_out
from .validation.secrets import opened

SECRET_NAME = "auth-secret"
HTPASSWD = "registry.password"

GENERATED_LENGTH = 32
"""Letters and digits: 190 bits, so that a cheap hash gives nothing away."""

SALT_LENGTH = 21
"""Characters of bcrypt's 22; the last one holds two bits only and is fixed. 125 bits."""

COST_OF_GENERATED = 5
"""1.7 ms a request, and what the registry spends on unknown users, so response times name none (docs/adr/0003)."""

COST_OF_CHOSEN = 10
"""50 ms a request: a password that a person chose may be guessed, and the hash is what slows a guesser down."""


class Auth(pulumi.ComponentResource):
    """Passwords, hashes and Secret of the registry's users."""

    passwords: pulumi.Output[dict[str, str]]
    """Everything that gets in, by login; secret. Empty where an existing Secret brings the users."""
    username: pulumi.Output[str]
    """The login that the first user is told; empty likewise."""
    password: pulumi.Output[str]
    """What goes with it; secret."""
    secret_name: pulumi.Output[str]
    """Without the Secret as a dependency: the registry reads it again, so its Pod stays as it is."""

    def __init__(
        self, name: str, given: PrivateRegistryArgs, metadata: Metadata, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("private-registry:index:Auth", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        first = ""
        if given.get("users_secret") is not None:
            self.passwords = pulumi.Output.secret({})
            self.secret_name = _existing(name, given["users_secret"], metadata, child)
        else:
            first = handed_out(given["users"][0], given["password_generations"])
            logins = accepted(given["users"], given["password_generations"])
            generated = {login: _password(f"{name}-{login}-password", child) for login in logins}
            salts = {login: _salt(f"{name}-{login}-salt", child) for login in logins}
            chosen = given.get("passwords", {})
            self.passwords = pulumi.Output.all(generated, chosen).apply(lambda known: {**known[0], **known[1]})
            kubernetes.core.v1.Secret(
                f"{name}-secret",
                metadata=metadata.of(SECRET_NAME),
                string_data={
                    HTPASSWD: pulumi.Output.all(self.passwords, chosen, salts).apply(lambda known: htpasswd(*known))
                },
                opts=child,
            )
            self.secret_name = pulumi.Output.from_input(SECRET_NAME)
        self.username = pulumi.Output.from_input(first)
        self.password = self.passwords.apply(lambda known: known.get(first, ""))
        self.register_outputs({key: getattr(self, key) for key in Auth.__annotations__})


def htpasswd(passwords: Mapping[str, str], chosen: Mapping[str, str], salts: Mapping[str, str]) -> str:
    """An htpasswd file, a line for each login in their order; a chosen password is hashed at the higher cost."""
    cost = {user: COST_OF_CHOSEN if user in chosen else COST_OF_GENERATED for user in salts}
    return "".join(htpasswd_line(user, passwords[user], salts[user], cost=cost[user]) for user in salts)


def htpasswd_line(username: str, password: str, salt: str, *, cost: int) -> str:
    """One line of an htpasswd file, `user:$2b$...`; the same input gives the same line on every run."""
    hashed = bcrypt.hashpw(password.encode(), f"$2b${cost:02}${salt}.".encode())
    return f"{username}:{hashed.decode()}\n"


def _password(name: str, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Made for a user with a chosen password too: whether there is one may be known during deployment only."""
    return random.RandomPassword(name, length=GENERATED_LENGTH, special=False, opts=opts).result


def _salt(name: str, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    return random.RandomString(name, length=SALT_LENGTH, special=False, opts=opts).result


def _existing(
    name: str, secret: pulumi.Input[str], metadata: Metadata, opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    found = kubernetes.core.v1.Secret.get(f"{name}-from-kubectl-get-secrets", metadata.id_of(secret), opts=opts)
    checked = pulumi.Output.unsecret(found.data.apply(_bcrypt_only))
    return pulumi.Output.all(secret, checked).apply(lambda known: str(known[0]))


def _bcrypt_only(data: Mapping[str, str] | None) -> bool:
    remedy = f"`kubectl create secret generic NAME --from-file={HTPASSWD}=FILE`"
    credentials.htpasswd(opened("users_secret", data, [HTPASSWD], remedy)[HTPASSWD])
    return True
