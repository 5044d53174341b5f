"""Users: their passwords, the bcrypt hashes, and the htpasswd Secret that the registry reads.

The registry reloads the file of the Secret by itself. With the proxy in the Pod, the Secret of the proxy has the logins
instead (access/).

The hash is made here, with a salt that the state keeps, because `RandomPassword.bcrypt_hash` has cost 10 and the
registry hashes on every request (docs/adr/0003-bcrypt-cost.md). The line of a user depends on that user alone, so other
users come and go without a change of it.

The reload takes a while: the kubelet updates a changed Secret in the Pod within about 90 s. If a password changed in
one step, the registry would refuse the new one until then. So a generated password changes in three steps
(docs/adr/0015-pull-secrets-and-passwords.md). First the registry accepts the next generation too, `[1, 2]`. Then the
outputs hand it out, `[2, 1]`, which changes nothing here. Then the registry refuses the old one, `[2]`.
"""

from collections.abc import Mapping

import bcrypt
import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from .context import Context
from .lookup import lookup_name
from .settings import UserSettings
from .validation.secrets import ExistingSecret, decode_secret_data
from .validation.users import Hashes, current_login, logins
from .validation.users import htpasswd as validate_htpasswd

SECRET_NAME = "auth-secret"
HTPASSWD_KEY = "registry.password"

GENERATED_LENGTH = 32
"""Letters and digits of a generated password: 190 bits, too many to guess even from a cheap hash."""

SALT_LENGTH = 21
"""Characters of a generated salt: 125 bits. bcrypt takes 22, but the last one holds only two bits and is fixed."""

GENERATED_COST = 5
"""bcrypt cost of generated passwords: 1.7 ms a request.

The registry spends the same on unknown users, so response times do not reveal the names of these users
(docs/adr/0003-bcrypt-cost.md)."""

CHOSEN_COST = 10
"""bcrypt cost of chosen passwords: 50 ms a request. They can be guessed, and the hash slows the guessing down."""


class Users(pulumi.ComponentResource):
    """Passwords, hashes and Secret of the registry's users."""

    passwords: pulumi.Output[dict[str, str]]
    """Every accepted password by login, a secret. Empty with an existing Secret or a token service."""
    username: pulumi.Output[str]
    """The login of the first user. Empty with an existing Secret or a token service."""
    password: pulumi.Output[str]
    """The password of that login, a secret."""
    secret_name: pulumi.Output[str]
    """A plain name: the registry reloads the file, so a changed Secret must not replace the Pod."""
    hashes: pulumi.Output[Hashes]
    """bcrypt hashes by login, a secret."""

    def __init__(self, ctx: Context, settings: UserSettings, *, has_file: bool) -> None:
        """Create the passwords, and with `has_file` the htpasswd Secret that the registry reads."""
        super().__init__("private-registry:index:Users", f"{ctx.name}-auth", {}, ctx.options())
        ctx = ctx.below(self, "auth")
        login = ""
        self.passwords, self.hashes = pulumi.Output.secret({}), pulumi.Output.from_input(Hashes({}, ()))
        self.secret_name = pulumi.Output.from_input(SECRET_NAME)
        if settings.users_secret is not None:
            self.secret_name = _existing_secret(ctx, settings.users_secret)
        elif settings.token is None:
            login = current_login(settings.users[0], settings.password_generations)
            self.passwords, self.hashes = _create_passwords(ctx, settings)
            if has_file:
                _create_secret(ctx, self.hashes)
        self.username = pulumi.Output.from_input(login)
        self.password = self.passwords.apply(lambda passwords: passwords.get(login, ""))
        self.register_outputs({key: getattr(self, key) for key in Users.__annotations__ if key != "hashes"})


def _create_passwords(
    ctx: Context, settings: UserSettings
) -> tuple[pulumi.Output[dict[str, str]], pulumi.Output[Hashes]]:
    """Generate passwords and salts. Return the passwords by login, and their hashes."""
    accepted = logins(settings.names, settings.password_generations)
    generated = {login: _password(ctx, login) for login in accepted}
    salts = {login: _salt(ctx, login) for login in accepted}
    chosen = settings.passwords or {}
    passwords = pulumi.Output.all(generated, chosen).apply(lambda resolved: {**resolved[0], **resolved[1]})
    hashes = pulumi.Output.all(passwords, chosen, salts).apply(lambda resolved: hash_passwords(*resolved))
    return passwords, hashes


def hash_passwords(passwords: Mapping[str, str], chosen: Mapping[str, str], salts: Mapping[str, str]) -> Hashes:
    """Return the hash of each login. Chosen passwords are hashed at the higher cost."""
    costs = {login: CHOSEN_COST if login in chosen else GENERATED_COST for login in salts}
    by_login = {login: hash_password(passwords[login], salt, cost=costs[login]) for login, salt in salts.items()}
    return Hashes(by_login, [login for login in by_login if login in chosen])


def hash_password(password: str, salt: str, *, cost: int) -> str:
    """Return the bcrypt hash, `$2b$...`. The same arguments give the same hash in every run."""
    return bcrypt.hashpw(password.encode(), f"$2b${cost:02}${salt}.".encode()).decode()


def _create_secret(ctx: Context, hashes: pulumi.Output[Hashes]) -> None:
    kubernetes.core.v1.Secret(
        f"{ctx.name}-secret",
        metadata=ctx.metadata(SECRET_NAME),
        string_data={HTPASSWD_KEY: hashes.apply(htpasswd)},
        opts=ctx.options(),
    )


def htpasswd(hashes: Hashes) -> str:
    """Return an htpasswd file with a line for each login."""
    return "".join(f"{login}:{hashed}\n" for login, hashed in hashes.by_login.items())


def _password(ctx: Context, login: str) -> pulumi.Output[str]:
    """Generate a password, even if one is chosen: a chosen one may be an Output, known during deployment only."""
    return random.RandomPassword(
        f"{ctx.name}-{login}-password", length=GENERATED_LENGTH, special=False, opts=ctx.options()
    ).result


def _salt(ctx: Context, login: str) -> pulumi.Output[str]:
    return random.RandomString(f"{ctx.name}-{login}-salt", length=SALT_LENGTH, special=False, opts=ctx.options()).result


def _existing_secret(ctx: Context, name: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the name of an existing Secret once its htpasswd lines are checked."""
    secret = kubernetes.core.v1.Secret.get(lookup_name(ctx.name, "secrets"), ctx.lookup_id(name), opts=ctx.options())
    checked = pulumi.Output.unsecret(
        pulumi.Output.all(secret.data, ctx.namespace, name).apply(lambda values: _check_htpasswd(*values))
    )
    return pulumi.Output.all(name, checked).apply(lambda resolved: str(resolved[0]))


def _check_htpasswd(data: Mapping[str, str] | None, namespace: str, name: str) -> bool:
    secret = ExistingSecret("users_secret", namespace, name, (HTPASSWD_KEY,))
    validate_htpasswd(decode_secret_data(secret, data)[HTPASSWD_KEY], secret.replace_command())
    return True
