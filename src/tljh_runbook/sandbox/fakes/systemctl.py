"""A fake of systemctl: has the sandbox's supervisor do what TLJH's installer asks of systemd.

    <sandbox>/usr/bin/systemctl daemon-reload
    <sandbox>/usr/bin/systemctl start|stop|restart|enable|is-active UNIT…

As under systemd, daemon-reload changes nothing that runs: a program whose settings are others by
then runs on as it is, and has them from its next start or restart on.
Standard library only: it runs with the bare Python that built the sandbox.
"""

import argparse
import configparser
import http.client
import sys
import time
import xmlrpc.client
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = ROOT / "etc" / "supervisor" / "supervisord.conf"
BETWEEN = {"STARTING", "STOPPING"}
ACTIVE = {"RUNNING", *BETWEEN}


def main():
    parser = argparse.ArgumentParser(prog="systemctl", description="A fake of systemctl.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("daemon-reload")
    for name in COMMANDS:
        commands.add_parser(name).add_argument("units", nargs="+", metavar="UNIT")
    args = parser.parse_args()
    try:
        sys.exit(carry_out(args))
    except xmlrpc.client.Fault as fault:
        sys.exit(f"systemctl {args.command}: {fault.faultString}")
    except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
        # The address holds a password: it must not reach a message.
        sys.exit(f"systemctl {args.command}: supervisor does not answer ({type(error).__name__})")


def carry_out(args):
    """Do what is asked; return the exit code."""
    server = supervisor()
    if args.command == "daemon-reload":
        server.supervisor.reloadConfig()
        return 0
    names = [unit.removesuffix(".service") for unit in args.units]
    return max([COMMANDS[args.command](server, name) or 0 for name in names])


def restart(server, name):
    """Stop a service, wait until it is gone, start it."""
    if state(server, name):
        stop(server, name)
    start(server, name)


def stop(server, name):
    """Stop a service and wait until it is gone.

    It is let start first: a signal that reaches it in its first instant, still as a copy of
    supervisor, is lost, and supervisor would wait in vain for its end.
    """
    while state(server, name) in BETWEEN:
        time.sleep(0.1)
    try:
        server.supervisor.stopProcess(name)
    except xmlrpc.client.Fault as fault:
        if "NOT_RUNNING" not in fault.faultString:
            raise


def start(server, name):
    """Start a service, unless it runs, with the settings that supervisor has read last.

    Only a program that is new to it has them: it is removed and added. Nobody sees it missing
    between the two, for it is one request. As systemd does, report success as soon as the process
    exists.
    """
    while state(server, name) == "STOPPING":
        time.sleep(0.1)
    calls = [call("removeProcessGroup", name), call("addProcessGroup", name)]
    *_, answer = server.system.multicall([*calls, call("startProcess", name, False)])
    if isinstance(answer, dict) and "ALREADY_STARTED" not in answer["faultString"]:
        raise xmlrpc.client.Fault(**answer)


def call(method, *arguments):
    return {"methodName": f"supervisor.{method}", "params": arguments}


def enable(server, name):
    """Do nothing: supervisor starts what it knows when it is started itself."""


def is_active(server, name):
    active = state(server, name) in ACTIVE
    print("active" if active else "inactive")
    return 0 if active else 3


def state(server, name):
    """Return the state of a service; an empty string for one that supervisor does not know."""
    found = {each["name"]: each["statename"] for each in server.supervisor.getAllProcessInfo()}
    return found.get(name, "")


def supervisor():
    """Return supervisor's XML-RPC interface."""
    parser = configparser.RawConfigParser()
    parser.read_string(CONFIGURATION.read_text(encoding="utf-8"))
    section = parser["inet_http_server"]
    login = f"{quote(section['username'], safe='')}:{quote(section['password'], safe='')}"
    return xmlrpc.client.ServerProxy(f"http://{login}@{section['port']}/RPC2")


COMMANDS = {
    "start": start,
    "stop": stop,
    "restart": restart,
    "enable": enable,
    "is-active": is_active,
}

if __name__ == "__main__":
    main()
