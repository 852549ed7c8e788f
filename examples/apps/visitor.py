"""A site in Python, behind a proxy that asks Throughline: it shows whom it was told of. Standard library only.

    python3 visitor.py 9000
    uwsgi --plugins python3 --socket 127.0.0.1:9002 --scgi-socket 127.0.0.1:9003 --wsgi-file visitor.py
"""

import html
import json
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


def visitor(environ):
    """The visitor ID and where it came from. Both are missing or empty when there is none."""
    return environ.get("HTTP_X_THROUGHLINE_VISITOR") or None, environ.get("HTTP_X_THROUGHLINE_SOURCE") or None


def application(environ, start_response):
    if environ["PATH_INFO"] == "/seen":
        return seen(environ, start_response)
    if environ["PATH_INFO"] == "/private":
        # A 401 of the site's own: no proxy may take it for one of Throughline's.
        start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="site"'), ("Content-Length", "0")])
        return [b""]
    who, source = visitor(environ)
    page = f"""<!doctype html>
<meta charset="utf-8"><title>A site in Python</title>
<p>You are <b id="visitor">{who or "none"}</b>, by <b id="source">{source or "none"}</b>.
<p>You came from <b id="referrer">{html.escape(environ.get("HTTP_REFERER", "nowhere"))}</b>.
"""
    body = page.encode()
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response("200 OK", [*headers, ("Set-Cookie", "site=own; Path=/"), ("Cache-Control", "public, max-age=60")])
    return [body]


def seen(environ, start_response):
    """What reached the application, as JSON: the names are those that WSGI and CGI make of headers."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    received = 0
    while received < length:
        piece = environ["wsgi.input"].read(min(65536, length - received))
        if not piece:
            break
        received += len(piece)
    told = {
        "method": environ["REQUEST_METHOD"],
        "query": environ["QUERY_STRING"],
        "received": received,
        "headers": {name: value for name, value in environ.items() if name.startswith("HTTP_")},
    }
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), application, Server, Quiet).serve_forever()
