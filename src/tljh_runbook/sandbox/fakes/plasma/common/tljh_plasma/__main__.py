"""The plugin's web page: says which edition of the plugin is running."""

import argparse
import asyncio
import os

from tornado import web

from tljh_plasma.edition import TITLE


class Page(web.RequestHandler):
    def get(self):
        self.write(f"<!doctype html><title>{TITLE}</title><h1>{TITLE}</h1>\n")


async def main():
    parser = argparse.ArgumentParser(prog="tljh_plasma")
    parser.add_argument("--ip", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6788)
    args = parser.parse_args()
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/")
    web.Application([(prefix + ".*", Page)]).listen(args.port, args.ip)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
