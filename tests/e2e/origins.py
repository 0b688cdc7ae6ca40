# The servers behind Shunt in the tests: a scriptable origin that keeps every request byte for byte, and Debian's nginx
# in a folder of its own. Both listen on loopback addresses; ports come from the harness.
import pathlib
import socket
import subprocess
import threading

from http1 import TIMEOUT, Closed, Stream, read_request
from ports import free_port, wait_until, wait_until_listening


def response(status=200, body=b"", headers=(), reason="OK"):
    """Bytes of a plain answer with Content-Length. `headers`: pairs."""
    if isinstance(body, str):
        body = body.encode()
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Origin:
    """An HTTP server of one thread per connection, whose answers the test gives:

    answer: request -> bytes to send, or None to close the connection. Called once per request, connections are kept.
    script: (origin, stream, index) -> None. Has the whole connection to itself; for everything that is not
            request-answer: half answers, resets, silence, answers before the request's body.
    """

    def __init__(self, answer=None, script=None, name="origin", backlog=1024, host="127.0.0.1", port=None):
        self.name = name
        self.answer = answer or (lambda request: response(body=f"{name}\n"))
        self.script = script
        self.requests = []  # In order of arrival; of `answer` origins, or what the script adds.
        self.cut_short = []  # What had come of requests that ended early: a client gave up, or the proxy.
        self.errors = []  # Requests that broke the grammar, and scripts that failed. Fails the test if not cleared.
        self.connections = 0
        self._lock = threading.Lock()
        self._open = set()
        self._backlog = backlog
        self.host = host
        self.port = port or free_port()
        self._listener = None
        self.start()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def start(self):
        """Listens (again, after stop()) on the same port."""
        self._listener = socket.create_server((self.host, self.port), backlog=self._backlog)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                connected, _ = listener.accept()
            except OSError:
                return  # Stopped.
            with self._lock:
                index = self.connections
                self.connections += 1
                self._open.add(connected)
            threading.Thread(target=self._serve, args=(connected, index), daemon=True).start()

    def _serve(self, connected, index):
        stream = Stream(connected)
        try:
            if self.script:
                self.script(self, stream, index)
            else:
                self._answer_requests(stream, index)
        except (ConnectionError, TimeoutError):
            pass  # The proxy may go away at any time.
        except Closed as closed:
            with self._lock:
                self.cut_short.append(closed.received)
        except Exception as error:  # Of any kind: the test must hear of it, and a thread cannot raise it.
            if self._listener is not None:  # Not because stop() closed the socket under the thread.
                with self._lock:
                    self.errors.append(error)
        finally:
            with self._lock:
                self._open.discard(connected)
            connected.close()

    def _answer_requests(self, stream, index):
        # Idle as long as the proxy likes: an hour is for ever in a test.
        while (request := read_request(stream, timeout=3600)) is not None:
            self.record(request, index)
            answer = self.answer(request)
            if answer is None:
                return
            stream.send(answer)

    def record(self, request, index):
        request.connection = index
        with self._lock:
            self.requests.append(request)

    def close_connections(self):
        """Ends all connections, as a server does whose keep-alive timeout has come."""
        with self._lock:
            for connected in self._open:
                try:
                    connected.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def stop(self):
        """Refuses connections from now on, and ends those that are open."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        listener.shutdown(socket.SHUT_RDWR)  # Wakes the thread in accept.
        listener.close()
        self.close_connections()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


NGINX_CONFIG = """
daemon off;
master_process off;
worker_rlimit_nofile 8192;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  log_format requests '$request_method $request_uri $status $request_length';
  access_log {folder}/access.log requests;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    add_header X-Origin {name} always;
    root {folder}/files;
    location = /status/204 {{ return 204; }}
    location = /status/500 {{ return 500; }}
    location /echo-method {{ return 200 "$request_method\\n"; }}
    location /upload {{ client_body_buffer_size 64k; proxy_pass http://127.0.0.1:{port}/upload-done; }}
    location = /upload-done {{ return 200 "$http_content_length\\n"; }}
    {extra}
  }}
}}
"""


class Nginx:
    """Debian's nginx with files to serve: `files` maps a name to its bytes. Each answer says X-Origin: `name`."""

    def __init__(self, folder, files=None, name="nginx", extra=""):
        self.name = name
        self.port = free_port()
        self.folder = pathlib.Path(folder, f"{name}-{self.port}")
        (self.folder / "files").mkdir(parents=True)
        for file, content in (files or {"index.html": b"index\n"}).items():
            path = self.folder / "files" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        config = self.folder / "nginx.conf"
        config.write_text(NGINX_CONFIG.format(folder=self.folder, port=self.port, name=name, extra=extra))
        self._log = open(self.folder / "error.log", "wb")
        self._process = subprocess.Popen(
            ["/usr/sbin/nginx", "-p", str(self.folder), "-c", str(config), "-e", "stderr"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        try:
            wait_until_listening(self._process, [self.port])
        except Exception as error:
            self.stop()
            raise RuntimeError(f"nginx did not start: {(self.folder / 'error.log').read_text()}") from error

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def requests(self):
        """(method, target, status) of each request so far."""
        lines = (self.folder / "access.log").read_text().splitlines()
        return [(method, target, int(status)) for method, target, status, _ in (line.split(" ") for line in lines)]

    def wait_for_requests(self, count):
        wait_until(lambda: len(self.requests()) >= count, f"{count} requests at {self.name}")

    def kill(self):
        """Dies at once, as on a crash: connections are cut where they are."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
