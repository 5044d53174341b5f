"""Who may push and pull: users, their bcrypt hashes, and the htpasswd Secret that the registry reads.

The hash is made here, with a salt kept in the state, and not taken from `RandomPassword.bcrypt_hash`: that one has
cost 10, and the registry hashes on every request (docs/adr/0003-bcrypt-cost.md).
"""

import bcrypt
import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

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
    """Password, hash and Secret of the registry's users."""

    password: pulumi.Output[str]
    """What to log in with; secret."""

    def __init__(
        self,
        name: str,
        username: pulumi.Input[str],
        password: pulumi.Input[str] | None,
        namespace: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("private-registry:index:Auth", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        cost = COST_OF_GENERATED if password is None else COST_OF_CHOSEN
        if password is None:
            password = random.RandomPassword(
                f"{name}-password", length=GENERATED_LENGTH, special=False, opts=child
            ).result
        self.password = pulumi.Output.secret(password)
        salt = random.RandomString(f"{name}-salt", length=SALT_LENGTH, special=False, opts=child).result
        line = pulumi.Output.all(username, self.password, salt).apply(lambda known: htpasswd_line(*known, cost=cost))
        kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata={"name": SECRET_NAME, "namespace": namespace},
            string_data={HTPASSWD: line},
            opts=child,
        )
        self.register_outputs({"password": self.password})


def htpasswd_line(username: str, password: str, salt: str, *, cost: int) -> str:
    """One line of an htpasswd file, `user:$2b$...`; the same input gives the same line on every run."""
    hashed = bcrypt.hashpw(password.encode(), f"$2b${cost:02}${salt}.".encode())
    return f"{username}:{hashed.decode()}\n"
