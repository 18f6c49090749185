"""Ask JupyterHub's own authenticator who may log in. Runs in the hub's Python, not in ours.

    python -c THIS_FILE CONFIGURATION DATABASE COPY STRANGER

It supports JupyterHub 1 to 6, needs Python 3.6, and imports nothing from this project. JupyterHub
initializes its users in COPY, as at startup. Passwords are not known, so `authenticate` is assumed
to succeed, and every check after it is run. Prints one JSON object per line: first for the
authenticator, then for each user.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from typing import Any, Dict, List, Optional, Tuple

ANSWER = 5  # timeout in seconds for one answer
IN_A_ROW = 3  # consecutive timeouts after which the remaining users are not asked about
KNOWN = ("name", "admin")  # what is known about a user who has not logged in


class NotKnown(Exception):
    """The answer depends on data that only the user's own login provides."""


class Model(Dict[str, Any]):
    """The authentication model of a user, which raises `NotKnown` for keys that need a login."""

    def __getitem__(self, key: str) -> Any:
        if key not in KNOWN:
            raise NotKnown(f"it needs the {key} of a login")
        return dict.get(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key]

    def setdefault(self, key: str, default: Any = None) -> Any:
        return dict.setdefault(self, key, default) if key in KNOWN else None


def late(*_: Any) -> None:
    raise NotKnown(f"no answer within {ANSWER} s")


def is_of(authenticator: Any, package: str) -> bool:
    return any(each.__module__.split(".")[0] == package for each in type(authenticator).__mro__)


def allow_settings(authenticator: Any) -> List[str]:
    """Return the settings that allow users on this hub."""
    return sorted(
        f"{type(authenticator).__name__}.{name}"
        for name, trait in authenticator.traits().items()
        if (name.startswith("allow") or trait.metadata.get("allow_config"))
        and name not in ("allow_2fa", "allow_self_approval_for", "allowed_failed_logins")
        and getattr(authenticator, name)
    )


def make_harmless(authenticator: Any) -> None:
    """Disable account creation, hooks and user deletion, and accept any password."""
    from jupyterhub.auth import Authenticator, LocalAuthenticator

    def add_user(user: Any) -> Any:
        made = getattr(authenticator, "create_system_users", False)
        if isinstance(authenticator, LocalAuthenticator) and not made:
            authenticator._getpwnam(user.name)  # as upstream, KeyError rejects an unknown user
        return Authenticator.add_user(authenticator, user)

    authenticator.add_user = add_user
    authenticator.post_auth_hook = None
    authenticator.enable_auth_state = False
    authenticator.delete_invalid_users = False
    authenticator.authenticate = lambda handler, data: data["model"]


def model(authenticator: Any, name: str) -> Model:
    admin = is_of(authenticator, "oauthenticator") and name in authenticator.admin_users
    return Model(name=name, admin=True if admin else None)


def is_known(authenticator: Any, name: str) -> bool:
    """Return whether the authenticator knows the user, as far as it can tell without a password."""
    from jupyterhub import auth

    if is_of(authenticator, "nativeauthenticator"):
        info = authenticator.get_user(name)
        return bool(info and info.is_authorized)
    if isinstance(authenticator, auth.PAMAuthenticator):
        try:
            authenticator._getpwnam(name)
        except KeyError:
            return False
    return type(authenticator).__name__ != "NullAuthenticator"


async def may_log_in(authenticator: Any, name: str) -> bool:
    if not is_known(authenticator, name):
        return False
    data = {"username": name, "password": "", "model": model(authenticator, name)}
    return bool(await authenticator.get_authenticated_user(None, data))


async def is_allowed(authenticator: Any, name: str) -> bool:
    """Return whether the allow rules alone accept a name, without checking that the user exists."""
    if getattr(authenticator, "allow_all", False):
        return True
    answer = authenticator.check_allowed(name, model(authenticator, name))
    return bool(await answer if hasattr(answer, "__await__") else answer)


async def asked(authenticator: Any, question: Any, name: str) -> Tuple[Optional[bool], str]:
    """Return the answer and an empty string, or None and the reason."""
    signal.setitimer(signal.ITIMER_REAL, ANSWER)
    try:
        return await asyncio.wait_for(question(authenticator, name), ANSWER), ""
    except NotKnown as error:
        nothing = not allow_settings(authenticator) and hasattr(authenticator, "allow_all")
        if nothing and "needs" in str(error) and is_of(authenticator, "oauthenticator"):
            return False, ""  # no setting allows it, whatever data the login provides
        return None, str(error)
    except asyncio.TimeoutError:
        return None, f"no answer within {ANSWER} s"
    except Exception as error:
        status = getattr(error, "status_code", 0)  # 401 and 403 mean "no"
        return (False, "") if status in (401, 403) else (None, f"{type(error).__name__}: {error}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


async def started(config: str, database: str) -> Tuple[Any, Any]:
    """Return JupyterHub and its authenticator, after only the startup steps that concern users."""
    from jupyterhub.app import JupyterHub

    app = JupyterHub()
    app.load_config_file(config)
    app.db_url = "sqlite:///" + database
    app.upgrade_db = False
    app.init_db()
    make_harmless(app.authenticator)
    if hasattr(app, "init_role_creation"):  # JupyterHub 2
        await app.init_role_creation()
    await app.init_users()
    return app, app.authenticator


def names(app: Any) -> List[Tuple[str, bool]]:
    from jupyterhub import orm

    return [(user.name, bool(user.admin)) for user in app.db.query(orm.User).order_by(orm.User.id)]


async def answers(config: str, database: str, copy: str, stranger: str) -> None:
    shutil.copyfile(database, copy)
    if os.path.exists(database + "-wal"):  # noqa: PTH110
        shutil.copyfile(database + "-wal", copy + "-wal")
    app, authenticator = await started(config, copy)
    settings = allow_settings(authenticator)
    signal.signal(signal.SIGALRM, late)
    rules, why = await asked(authenticator, is_allowed, stranger)
    tell(
        authenticator=type(authenticator).__name__,
        allow_settings=settings,
        stranger=rules,
        why=why,
    )
    waited = 0
    for name, admin in names(app):
        if waited < IN_A_ROW:
            answer, why = await asked(authenticator, may_log_in, name)
            waited = waited + 1 if why.startswith("no answer") else 0
        else:
            answer, why = None, "it does not answer in time"
        tell(name=name, admin=admin, answer=answer, why=why[:200])


def tell(**answer: Any) -> None:
    output.write(json.dumps(answer) + "\n")
    output.flush()


if __name__ == "__main__":
    # Output of JupyterHub or the configuration must not mix with the answers.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(answers(*sys.argv[1:]))
    except (Exception, SystemExit) as error:
        tell(error=f"{type(error).__name__}: {error}"[:500])
        raise
    finally:
        os._exit(0 if sys.exc_info()[0] is None else 1)
