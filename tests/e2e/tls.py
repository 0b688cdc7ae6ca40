# TLS for the tests: certificates made by openssl when a test wants them, clients that tell what was agreed, and a
# tunnel by which tests that speak plain HTTP reach a TLS listener.
import dataclasses
import pathlib
import select
import socket
import ssl
import subprocess
import threading
import warnings

from http1 import TIMEOUT, Stream


@dataclasses.dataclass
class Certificate:
    path: pathlib.Path
    key: pathlib.Path


def openssl(*arguments, folder=None):
    done = subprocess.run(["openssl", *map(str, arguments)], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=6 * TIMEOUT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(map(str, arguments))}: {done.stderr.decode()}")
    return done.stdout


def make_certificate(folder, name, hosts=(), key="ec", signed_by=None, days=30):
    """FOLDER/NAME.pem and .key with the subject CN=NAME, an authority if there are no hosts."""
    certificate = Certificate(pathlib.Path(folder, f"{name}.pem"), pathlib.Path(folder, f"{name}.key"))
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else ["-newkey", "rsa:2048"]
    names = ",".join(("IP:" if host[0].isdigit() else "DNS:") + host for host in hosts)
    extensions = ["-addext", f"subjectAltName={names}", "-addext", "basicConstraints=CA:FALSE"] if hosts else []
    signer = ["-CA", signed_by.path, "-CAkey", signed_by.key] if signed_by else []
    openssl("req", "-x509", *kind, "-nodes", "-keyout", certificate.key, "-out", certificate.path, "-days", days,
            "-subj", f"/O=Shunt/CN={name}", *extensions, *signer)
    return certificate


def client_context(trusted=None, certificate=None, **settings):
    """`trusted`: a Certificate to verify against; None: none is verified. Others are attributes of SSLContext."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusted is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(trusted.path)
    if certificate is not None:
        context.load_cert_chain(certificate.path, certificate.key)
    context.set_alpn_protocols(settings.pop("alpn", ["h2", "http/1.1"]))
    if ciphers := settings.pop("ciphers", None):
        context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Old versions are asked for to see them refused.
        for name, value in settings.items():
            setattr(context, name, value)
    return context


class TlsClient(Stream):
    """A TLS connection to 127.0.0.1:`port` that asks for `host` (None: for no name)."""

    def __init__(self, port, host="localhost", context=None, session=None):
        plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        try:
            wrapped = (context or client_context()).wrap_socket(plain, server_hostname=host, session=session)
        except (OSError, ValueError):
            plain.close()
            raise
        super().__init__(wrapped)

    def subject(self):
        """The common name of the server's certificate, which must be PEM-readable even if it is not verified."""
        pem = ssl.DER_cert_to_PEM_cert(self.socket.getpeercert(binary_form=True))
        done = subprocess.run(["openssl", "x509", "-noout", "-subject", "-nameopt", "multiline"], input=pem.encode(),
                              capture_output=True, timeout=TIMEOUT, check=True)
        return done.stdout.decode().rpartition("commonName")[2].strip(" =\n")


class TlsTunnel:
    """Takes plain connections on `port` and carries each by TLS to 127.0.0.1:`target`, half-closes included."""

    def __init__(self, target):
        self.target = target
        self.context = client_context()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(plain,), daemon=True).start()

    def _carry(self, plain):
        try:
            with plain, socket.create_connection(("127.0.0.1", self.target), TIMEOUT) as far:
                _Carriage(self.context, plain, far).run()
        except (OSError, ssl.SSLError):
            pass  # Either side may go away at any time.


class _Carriage:
    """One connection in the tunnel. An SSLObject in memory, since an SSLSocket cannot close one direction alone."""

    def __init__(self, context, plain, far):
        self.plain, self.far = plain, far
        self.received, self.to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.received, self.to_send, server_hostname="localhost")

    def run(self):
        for end in (self.plain, self.far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not self._done(self.tls.do_handshake):
            self._send_far()
            self._receive_far()
        self._send_far()
        open_ends = [self.plain, self.far]
        while self.far in open_ends:
            for end in select.select(open_ends, [], [], 6 * TIMEOUT)[0]:
                if not (self._from_plain() if end is self.plain else self._from_far()):
                    open_ends.remove(end)

    @staticmethod
    def _done(call):
        try:
            call()
        except ssl.SSLWantReadError:
            return False
        return True

    def _send_far(self):
        if data := self.to_send.read():
            self.far.sendall(data)

    def _receive_far(self):
        data = self.far.recv(65536)
        if data:
            self.received.write(data)
        else:
            self.received.write_eof()
        return bool(data)

    def _from_plain(self):
        data = self.plain.recv(65536)
        if data:
            self.tls.write(data)
            self._send_far()
            return True
        self._done(self.tls.unwrap)  # close_notify; the answer to it may take its time.
        self._send_far()
        self.far.shutdown(socket.SHUT_WR)
        return False

    def _from_far(self):
        self._receive_far()
        try:
            while data := self.tls.read(65536):
                self.plain.sendall(data)
        except ssl.SSLWantReadError:
            return True
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        self.plain.shutdown(socket.SHUT_WR)
        return False
