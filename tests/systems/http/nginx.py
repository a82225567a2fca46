"""A real nginx with TLS on loopback.

One process, with certificates by an authority of the tests, over a folder of theirs:

    /files/…    with ranges and entity tags; PUT        /norange/…  ranges refused
    /slow/…     4 MB a second                           /auth/…     user weft, password secret
    /token/…    with "Bearer weft-token"                /known/…    with the certificate of a user
    /moved/…    301 to /files/…                         /loop       302 to itself
    /plain/…    302 to http                             /fault/N    that status
    /once/…     GET and HEAD alone                      /close      no answer at all
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from tests.systems.needs import free_port
from tests.waiting import eventually

__all__ = ["BOUND", "Nginx"]

BOUND = 60.0
"""Seconds that anything here may take, on a machine with other things to do."""

_CONF = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_max_body_size 0;
    client_body_temp_path {folder}/temp/body;
    proxy_temp_path {folder}/temp/proxy;
    fastcgi_temp_path {folder}/temp/fastcgi;
    uwsgi_temp_path {folder}/temp/uwsgi;
    scgi_temp_path {folder}/temp/scgi;
    default_type application/octet-stream;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.key;
    ssl_client_certificate {folder}/ca.pem;
    ssl_verify_client optional;
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        location /files/ {{
            alias {files}/; dav_methods PUT; create_full_put_path on; dav_access user:rw;
        }}
        location /norange/ {{ alias {files}/; max_ranges 0; }}
        location /slow/ {{ alias {files}/; limit_rate 4m; }}
        location /auth/ {{
            alias {files}/; auth_basic weft; auth_basic_user_file {folder}/users;
        }}
        location /token/ {{
            alias {files}/; if ($http_authorization != "Bearer weft-token") {{ return 401; }}
        }}
        location /known/ {{ alias {files}/; if ($ssl_client_verify != SUCCESS) {{ return 403; }} }}
        location /once/ {{ alias {files}/; limit_except GET HEAD {{ deny all; }} }}
        location ~ ^/moved/(.*)$ {{ return 301 /files/$1; }}
        location ~ ^/plain/(.*)$ {{ return 302 http://localhost:{http}/files/$1; }}
        location = /loop {{ return 302 /loop; }}
        location = /fault/429 {{ add_header Retry-After 7 always; return 429; }}
        location = /fault/503 {{ add_header Retry-After 120 always; return 503; }}
        location = /fault/500 {{ return 500; }}
        location = /close {{ return 444; }}
    }}
}}
"""


def certify(folder: Path) -> None:
    """Make an authority, and by it certificates of ``localhost`` and of a user."""

    def run(*words: str) -> None:
        subprocess.run(
            ["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=BOUND
        )

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(
        *("req", "-x509", *curve, "-days", "30", "-subj", "/CN=weft test authority"),
        *("-addext", "basicConstraints=critical,CA:TRUE"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", "ca.key", "-out", "ca.pem"),
    )
    for name, subject, more in (
        ("server", "/CN=localhost", "subjectAltName=DNS:localhost"),
        ("user", "/CN=user", "extendedKeyUsage=clientAuth"),
    ):
        (folder / f"{name}.ext").write_text(more)
        run("req", *curve, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext", "-out", f"{name}.pem"),
        )


class Nginx:
    """A server in a folder.

    Attributes:
        files: what it serves.
        http, https: what stands before the path in URLs.
        ca: the certificate of the authority to trust.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.files, self.ca = folder, folder / "files", folder / "ca.pem"
        self.files.mkdir()
        (folder / "temp").mkdir()
        certify(folder)
        # The password is 'secret', as openssl passwd -apr1 writes it.
        made = subprocess.run(
            ["openssl", "passwd", "-apr1", "secret"],
            check=True,
            capture_output=True,
            text=True,
            timeout=BOUND,
        )
        (folder / "users").write_text(f"weft:{made.stdout}")
        self._ports = (free_port(), free_port())
        self.http, self.https = (
            f"{scheme}://localhost:{port}"
            for scheme, port in zip(("http", "https"), self._ports, strict=True)
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.folder / "access.log").read_text()

    def logged(self, what: str, times: int = 1) -> int:
        """How often that is in the log, once it is so often: lines come after the answers."""
        eventually(lambda: self.log.count(what) >= times, f"{what!r} is not logged {times} times")
        return self.log.count(what)

    def start(self) -> None:
        """Listen, at the same ports each time."""
        conf = self.folder / "nginx.conf"
        http, https = self._ports
        conf.write_text(_CONF.format(folder=self.folder, files=self.files, http=http, https=https))
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or "nginx"
        self._process = subprocess.Popen(
            [program, "-p", self.folder, "-e", self.folder / "error.log", "-c", conf],
            stderr=subprocess.DEVNULL,
            restore_signals=False,  # on a full disk a write fails; the signal would end the server
        )
        eventually(self._listens, "nginx does not listen")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "error.log").read_text()
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self._ports[1])) == 0

    @property
    def runs(self) -> bool:
        """Whether it does; the kit ends what was started in the middle of a rule."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """As a crash of its machine."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(BOUND)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(BOUND)
            except subprocess.TimeoutExpired:
                self.kill()
