#!/usr/bin/env python3
# The shortest way through: a request in, a server chosen, the answer back, the log line written, and a clean end.
from harness import ShuntTest, curl, free_port, get, listening_ports, main, signal


class FirstLightTest(ShuntTest):
    def test_request_reaches_the_server_and_its_answer_the_client(self):
        origin = self.origin()
        shunt = self.shunt_before([origin])
        answer = get(shunt.port, "/a?b=c", [("X-One", "1")], host="www.example.com")
        self.assertEqual((answer.status, answer.text), (200, "origin\n"))
        [request] = origin.requests
        self.assertEqual((request.method, request.target, request.header("Host"), request.header("X-One")),
                         ("GET", "/a?b=c", "www.example.com", "1"))

    def test_access_log(self):
        shunt = self.shunt_before([self.origin()])
        get(shunt.port, "/logged")
        shunt.stop(signal.SIGTERM)
        [entry] = shunt.access_log()
        self.assertEqual((entry["status"], entry["rule"], entry["pool"], entry["server"]),
                         (200, "default", "pages", "s1"))

    def test_curl(self):
        shunt = self.shunt_before([self.nginx({"index.html": b"x" * 100000})])
        done = curl(shunt.port)
        self.assertEqual((done.exit_code, done.status, len(done.body)), (0, 200, 100000))

    def test_dead_server_is_502_and_said_so(self):
        shunt = self.shunt_before([f"127.0.0.1:{free_port()}"])
        self.assertEqual(get(shunt.port).status, 502)

    def test_each_signal_that_ends_it_ends_it_with_zero(self):
        for number in (signal.SIGQUIT, signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal.Signals(number).name):
                shunt = self.shunt_before([self.origin()])
                self.assertEqual(get(shunt.port).status, 200)
                shunt.stop(number)
                self.assertNotIn(shunt.port, listening_ports())


if __name__ == "__main__":
    main()
