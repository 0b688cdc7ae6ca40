# Which event loop Shunt runs on: what the configuration wants, and what the kernel lets it have.
import os
import subprocess

from harness import BINARY, TIMEOUT, ShuntTest, farm, free_port, get, main
from harness import WITHOUT_IO_URING as REFUSED


class EventLoop(ShuntTest):
    def serve(self, wanted, refused):
        """What a Shunt that has answered one request wrote to its log."""
        os.environ["SHUNT_EVENT_LOOP"] = "epoll" if refused else ""
        self.addCleanup(os.environ.pop, "SHUNT_EVENT_LOOP", None)
        shunt = self.shunt_before([self.origin()], top=f'event_loop = "{wanted}"' if wanted else "")
        self.assertEqual(get(shunt.port, "/").status, 200)
        shunt.stop()
        return shunt.log()

    def test_what_is_wanted_and_what_it_gets(self):
        loop = "epoll" if "io_uring is refused" in self.serve("auto", False) else "io_uring"  # In a container, say.
        for wanted, refused, expected in [
            ("", False, f"started: 1 worker, {loop}"),
            ("auto", False, f"started: 1 worker, {loop}"),
            (loop, False, f"started: 1 worker, {loop}"),
            ("epoll", False, r"started: 1 worker, epoll\n"),
            ("auto", True, r'event_loop = "auto": epoll, because io_uring is refused: a seccomp filter'
                           r"[^\n]*\n[^\n]*started: 1 worker, epoll\n"),
            ("epoll", True, r"started: 1 worker, epoll\n"),
        ]:
            with self.subTest(wanted=wanted, refused=refused):
                log = self.serve(wanted, refused)
                self.assertRegex(log, expected)
                if wanted == "epoll":
                    self.assertNotIn("refused", log)

    def test_io_uring_demanded_and_refused(self):
        (self.folder / "farm.toml").write_text(
            farm(free_port(), ["127.0.0.1:1"], top='event_loop = "io_uring"'), encoding="utf-8")
        done = subprocess.run([*REFUSED, str(BINARY), "run", "-c", "farm.toml"], cwd=self.folder, capture_output=True,
                              text=True, timeout=TIMEOUT, check=False)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("io_uring is refused: a seccomp filter is in force", done.stderr)
        self.assertIn("--security-opt seccomp=", done.stderr)
        self.assertIn('event_loop = "auto"', done.stderr)


if __name__ == "__main__":
    main()
