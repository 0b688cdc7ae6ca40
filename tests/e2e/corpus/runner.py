# Plays a case of the corpus of malformed and ambiguous HTTP through a proxy, as client and as recording origin at once,
# and judges what crossed. Each Lane has an origin of its own, so that lanes can run in parallel; cases of one lane run
# one after another. tests/data/corpus holds the cases; their verdicts:
#   must-reject    4xx, 501, 505 or a close; nothing complete may reach the other side
#   must-wait      the message is unfinished: nothing complete may reach the other side
#   may-normalise  rejected, or forwarded as an unambiguous rewrite: as many requests at the origin as answers from it
#   must-accept    exactly the listed requests and bodies arrive and are answered
import json
import pathlib
import re
import select
import socket
import threading
import time

from corpus.strict import Broken, parse_request, parse_response
from http1 import SLOWNESS

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "data/corpus"
DEADLINE = 5 * SLOWNESS  # For what must come; it ends the wait as soon as it is there.
QUIET = 0.1  # For what must not come after it.
QUIET_UNFINISHED = 0.5  # As long for messages that must be waited on.
SCRIPTED = re.compile(rb"(?:https?://[^/]*)?/r/(\d+)")  # Target that asks for the bytes of a case as answer.


def load(name):
    cases = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    for case in cases:
        case["bytes"] = bytes.fromhex(case["hex"])
    return cases


class Verdict(Exception):
    """Why a case failed."""


def require(condition, why):
    if not condition:
        raise Verdict(why)


class Origin:
    """Answers every request that its strict reader understands, and records all of them."""

    def __init__(self, cases):
        self.cases = cases
        self.lock = threading.Lock()
        self.served = 0
        self.reset()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self):
        with self.lock:
            self.requests = []
            self.anomalies = set()
            self.unfinished = {}

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connected, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected):
        with connected:
            try:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                data, continued = b"", False
                while received := connected.recv(65536):
                    data += received
                    while data:
                        try:
                            message, rest = parse_request(data)
                        except Broken as broken:
                            with self.lock:
                                self.anomalies.update(broken.message.anomalies)
                            connected.sendall(b"HTTP/1.1 400 Rejected\r\nX-Origin-Reject: 1\r\nContent-Length: 0\r\n"
                                              b"Connection: close\r\n\r\n")
                            return
                        if rest is None:
                            continued = continued or self._wait_for_rest(connected, message)
                            break
                        data, continued = rest, False
                        if not self._answer(connected, message):
                            return
            except OSError:
                pass  # The proxy may go away at any time.

    def _wait_for_rest(self, connected, message):
        """True if it has said that it waits."""
        if message is None:
            return False
        with self.lock:
            self.unfinished[connected] = set(message.anomalies)
        expects = any(value.lower() == b"100-continue" for value in message.all(b"expect"))
        if expects:
            connected.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return expects

    def _answer(self, connected, message):
        with self.lock:
            self.unfinished.pop(connected, None)
            self.served += 1
            served = self.served
            self.requests.append(message)
            self.anomalies.update(message.anomalies)
        scripted = SCRIPTED.match(message.target)
        if scripted:
            case = self.cases[int(scripted.group(1))]
            connected.sendall(case["bytes"])
            if case["close"]:
                connected.shutdown(socket.SHUT_WR)
                connected.settimeout(0.5)
                while connected.recv(4096):
                    pass
            return not case["close"]
        body = b"target=%s length=%d\n" % (message.target[:120], len(message.body))
        connected.sendall(b"HTTP/1.1 200 OK\r\nX-Origin: %d\r\nContent-Length: %d\r\n%s\r\n%s" % (
            served, len(body), b"Connection: close\r\n" if message.closes else b"",
            b"" if message.method == b"HEAD" else body))
        return not message.closes


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # A proxy may close before it has read all of a bad request.

    def receive(self, seconds):
        if not select.select([self.socket], [], [], max(0, seconds))[0]:
            return
        try:
            received = self.socket.recv(65536)
        except OSError:
            received = b""
        self.closed = not received
        self.data += received

    def answers(self, methods):
        """The final answers so far, the bytes behind them, and what is wrong with those, or None."""
        answers, rest = [], self.data
        while rest:
            method = methods[len(answers)] if len(answers) < len(methods) else b"GET"
            try:
                message, after = parse_response(rest, method, self.closed)
            except Broken as broken:
                return answers, rest, broken.message.anomalies
            if after is None:
                return answers, rest, None
            rest = after
            if message.status >= 200 or message.status == 101:
                answers.append(message)
        return answers, b"", None

    def collect(self, methods, count, seconds=DEADLINE, quiet=QUIET):
        """Waits for `count` answers, and then a while for what should not come."""
        end = time.monotonic() + seconds
        while not self.closed and (left := end - time.monotonic()) > 0:
            answers, _, wrong = self.answers(methods)
            if wrong or len(answers) >= count:
                break
            self.receive(left)
        end = time.monotonic() + quiet
        while not self.closed and (left := end - time.monotonic()) > 0:
            self.receive(left)
        return self.answers(methods)


def get(target, host=b"localhost", extra=b""):
    return b"GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (target, host, extra)


class Lane:
    """One origin, and the port at which the proxy takes requests for it."""

    def __init__(self, cases):
        self.origin = Origin(cases)
        self.port = None

    def check_request(self, case):
        origin, verdict, before, most = self.origin, case["verdict"], case["pre"], case["max"]
        origin.reset()
        methods = [method.encode() for method in case["methods"]]
        with Client(self.port) as client:
            client.send(case["bytes"])
            wanted = {"must-accept": most, "must-reject": before + 1}.get(verdict, max(1, most))
            unfinished = verdict == "must-wait"
            answers, _, wrong = client.collect(methods, wanted, QUIET_UNFINISHED if unfinished else DEADLINE)
        with origin.lock:
            requests = list(origin.requests)
            anomalies = origin.anomalies.union(*origin.unfinished.values())
        statuses = [answer.status for answer in answers]
        if not case.get("http09"):
            require(not wrong, f"malformed answer {wrong}")
            answered = sum(1 for answer in answers if answer.all(b"x-origin"))
            require(len(requests) <= answered, f"desync: {len(requests)} requests at the origin, {answered} answered")
        require(not anomalies, f"ambiguous bytes forwarded: {anomalies}")
        rejection = statuses[before:]
        if verdict == "must-accept":
            require(statuses == [200] * most and len(requests) == most,
                    f"answered {statuses}, {len(requests)} at the origin, wanted {most}")
            require([request.body.hex() for request in requests] == case["bodies"], "body differs at the origin")
        elif verdict == "may-normalise":
            self._check_normalised(case, requests, rejection, client.closed)
        else:
            require(len(requests) <= before, f"forwarded: {[request.start for request in requests]}")
            require(all(status >= 400 for status in rejection), f"accepted: {statuses}")
            if verdict == "must-reject":
                require(rejection or client.closed, "neither an answer nor a close")
                require(not rejection or is_rejection(rejection[0]), f"rejected with {rejection}")
        self.check_health()

    @staticmethod
    def _check_normalised(case, requests, rejection, closed):
        require(len(requests) <= case["max"], f"forwarded {len(requests)}, at most {case['max']}")
        require(requests or rejection or closed, "neither an answer nor a close")
        require(not rejection or rejection[0] < 500 or is_rejection(rejection[0]), f"rejected with {rejection}")
        rejected = all(status >= 400 for status in rejection) if rejection else closed
        if requests and not case.get("body_any") and not (rejected and len(requests) <= case["pre"]):
            bodies = [request.body.hex() for request in requests]
            require(bodies == case["bodies"][:len(bodies)], "body differs at the origin")

    def check_response(self, case, index):
        self.origin.reset()
        verdict, method = case["verdict"], case.get("method", "GET").encode()
        with Client(self.port) as client:
            client.send(b"%s /r/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % (method, index))
            answers, rest, wrong = client.collect([method], 1)
            require(not wrong, f"malformed bytes for the client: {wrong} {rest[:80]!r}")
            require(len(answers) <= 1, f"{len(answers)} answers to one request")
            if answers:
                require(not rest, f"bytes behind the answer: {rest[:80]!r}")
                require(not answers[0].anomalies, f"ambiguous answer: {answers[0].anomalies}")
            self._judge_answer(case, answers[0] if answers else None, bool(rest), client.closed)
            if answers and not client.closed and not answers[0].closes:
                self._follow(client, b"/follow-%d" % index)
        require(verdict != "must-wait", "the corpus has no such answers")
        self.check_health()

    @staticmethod
    def _judge_answer(case, answer, begun, closed):
        verdict = case["verdict"]
        own_error = answer is not None and answer.status in (500, 502, 503, 504) and answer.status != case["status"]
        if verdict == "must-accept":
            require(answer is not None, "closed" if closed else "no answer")
            require(answer.status == case["status"], f"status {answer.status} instead of {case['status']}")
            require("body" not in case or answer.body.hex() == case["body"], f"body differs: {answer.body[:60]!r}")
            return
        require(answer is not None or begun or closed, "no answer")
        if verdict == "must-reject":
            require(answer is None or own_error, f"accepted: status {answer and answer.status}")
        elif answer is not None and not own_error and "body" in case:
            require(answer.body.hex() in [case["body"], *case.get("body_alt", [])], f"body: {answer.body[:60]!r}")

    @staticmethod
    def _follow(client, target):
        """The next request on the same connection must get its own answer."""
        client.data = b""
        client.send(get(target))
        answers, _, _ = client.collect([b"GET"], 1, quiet=0)
        require(answers or client.closed, "no answer to the next request")
        if answers and answers[0].status == 200:
            require(b"target=" + target in answers[0].body, f"response splitting: {answers[0].body[:60]!r}")

    def check_pipelined(self, case):
        """A case that must be accepted, between two plain requests that left with it in one write."""
        self.origin.reset()
        request, rest = parse_request(case["bytes"])
        # What follows a request that closes is never looked at; empty lines before a request are skipped.
        require(request.closes or not rest.strip(b"\r\n"), "the case is not one request")
        methods = [b"GET", request.method, b"GET"]
        wanted = 2 if request.closes else 3
        with Client(self.port) as client:
            client.send(get(b"/before") + case["bytes"] + get(b"/after"))
            answers, rest, wrong = client.collect(methods, wanted)
        require(not wrong and not rest, f"malformed answers: {wrong} {rest[:80]!r}")
        require([answer.status for answer in answers] == [200] * wanted,
                f"{[answer.start for answer in answers]}, wanted {wanted}")
        with self.origin.lock:
            arrived, anomalies = list(self.origin.requests), set(self.origin.anomalies)
        require(not anomalies, f"ambiguous bytes forwarded: {anomalies}")
        require(len(arrived) == wanted, f"{len(arrived)} requests at the origin, wanted {wanted}")
        numbers = [int(answer.all(b"x-origin")[0]) for answer in answers]
        require(numbers == sorted(numbers), f"answers out of order: {numbers}")
        require(arrived[1].body == request.body and arrived[1].method == request.method, "another in the middle")
        for index, target in ((0, b"/before"), (2, b"/after")):
            if index < wanted:
                require(b"target=" + target in answers[index].body, f"another's answer: {answers[index].body[:60]!r}")
        self.check_health()

    def check_health(self):
        """A plain request gets its own answer, and the origin sees nothing else with it."""
        target = b"/health-%d" % self.origin.served
        self.origin.reset()
        with Client(self.port) as client:
            client.send(get(target, extra=b"Connection: close\r\n"))
            answers, _, wrong = client.collect([b"GET"], 1, quiet=0)
        require(not wrong and [answer.status for answer in answers] == [200], f"unhealthy: {answers} {wrong}")
        require(b"target=" + target in answers[0].body, f"afterwards, another's answer: {answers[0].body[:60]!r}")
        with self.origin.lock:
            targets = [request.target for request in self.origin.requests]
        require(targets == [target], f"desync: the origin saw {targets}")


def is_rejection(status):
    return 400 <= status < 500 or status in (501, 505)
