"""strata-provider-qemu: lends virtual machines of this host to a Strata cluster."""
import argparse
import os
import sys

import calls
import image
import settings
from failure import Failure

DESCRIPTION = """Lends virtual machines of this host to a Strata cluster: named in the file of
`vclusterd master --providers`, it answers one request on its standard input (docs/providers.md)."""


def parse_arguments():
    parser = argparse.ArgumentParser(prog="strata-provider-qemu", description=DESCRIPTION)
    parser.add_argument("--config", metavar="FILE", help="what is lent, JSON; not for `image`")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND",
                                     help="without one, a request is answered")
    commands.add_parser("list", help="show the machines")
    restart = commands.add_parser("restart", help="boot a machine that is down, with its disk")
    restart.add_argument("machine", metavar="ID")
    image.add_arguments(commands.add_parser("image", help="make what machines boot from"))
    return parser.parse_args()


def main():
    os.umask(0o077)
    arguments = parse_arguments()
    try:
        if arguments.command == "image":
            image.main(arguments)
            return 0
        if not arguments.config:
            raise Failure("--config FILE is needed (docs/providers.md)")
        configured = settings.read(arguments.config)
        if arguments.command == "list":
            print("\n".join(calls.show(configured)))
        elif arguments.command == "restart":
            calls.restart(configured, arguments.machine)
        else:
            data = sys.stdin.buffer.read(calls.REQUEST_BYTES_MAX + 1)
            answer = calls.answer(configured, data)
            sys.stdout.buffer.write(answer)
            sys.stdout.buffer.flush()
        return 0
    except Failure as failure:
        print(f"strata-provider-qemu: {failure}", file=sys.stderr)
    except OSError as error:
        print(f"strata-provider-qemu: {error}", file=sys.stderr)
    return 1


sys.exit(main())
