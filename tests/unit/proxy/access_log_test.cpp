// The access log: what a line looks like, that no byte of a client can break one, and what happens
// to the lines when the file is rotated, replaced or full.
#include "proxy/access_log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

namespace shunt::proxy {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

const SocketAddress kClient = SocketAddress::parse("192.0.2.7:51234").value();
constexpr int64_t kTime = 1769860800123;  // 2026-01-31T12:00:00.123Z

AccessRecord full_record() {
  AccessRecord record;
  record.wall_time_ms = kTime;
  record.client = &kClient;
  record.request_id = "00ff";
  record.listener = "web";
  record.method = "GET";
  record.scheme = "http";
  record.sni = "cdn.example.com";
  record.host = "cdn.example.com";
  record.target = "/a.png?x=1";
  record.version = "HTTP/1.1";
  record.referer = "http://example.com/";
  record.user_agent = "curl/8.0";
  record.rule = "images";
  record.pool = "image-pool";
  record.server = "i1";
  record.scheduler = "lblcr";
  record.sticky = "moved";
  record.status = 200;
  record.attempts = 2;
  record.reused = true;
  record.bytes_in = 90;
  record.bytes_out = 1234;
  record.queue = 5us;
  record.connect = 0us;
  record.first_byte = 2ms + 300ns;
  record.total = 3ms;
  return record;
}

std::string json_line(const AccessRecord& record) {
  std::string out;
  format_json(out, record);
  return out;
}

std::string combined_line(const AccessRecord& record) {
  std::string out;
  format_combined(out, record);
  return out;
}

// A directory that goes away with its test.
struct Scratch {
  std::filesystem::path path;
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "shunt-log-XXXXXX").string();
    BOOST_REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Scratch() { std::filesystem::remove_all(path); }
  std::string file(const char* name) const { return (path / name).string(); }
};

std::string read_file(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

// A stream whose write end blocks, and whose reader reads only when told to.
struct Ends {
  mutable int read = -1;
  int write = -1;

  static Ends pipe() {
    int fds[2];
    BOOST_REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
    return Ends(fds[0], fds[1]);
  }
  static Ends sockets() {
    int fds[2];
    BOOST_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    return Ends(fds[0], fds[1]);
  }
  static Ends terminal() {
    const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    BOOST_REQUIRE(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    const int terminal = ::open(ptsname(master), O_WRONLY | O_NOCTTY | O_CLOEXEC);
    BOOST_REQUIRE(terminal >= 0);
    return Ends(master, terminal);
  }
  Ends(int reads, int writes) : read(reads), write(writes) {}
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
  ~Ends() {
    hang_up();
    ::close(write);
  }

  void hang_up() const {
    if (read >= 0) ::close(read);
    read = -1;
  }
  // What there is.
  std::string receive() const {
    std::string all;
    std::string part(4096, '\0');
    for (pollfd more{.fd = read, .events = POLLIN, .revents = 0}; ::poll(&more, 1, 0) > 0;) {
      const ssize_t size = ::read(read, part.data(), part.size());
      BOOST_REQUIRE(size > 0);
      all.append(part, 0, static_cast<size_t>(size));
    }
    return all;
  }
};

// A sink made while `fd` is our stdout.
std::unique_ptr<AccessLogSink> open_as_stdout(int fd) {
  std::signal(SIGPIPE, SIG_IGN);
  const int real_stdout = ::dup(STDOUT_FILENO);
  BOOST_REQUIRE(::dup2(fd, STDOUT_FILENO) == STDOUT_FILENO);
  auto sink = AccessLogSink::open("stdout").value();
  BOOST_REQUIRE(::dup2(real_stdout, STDOUT_FILENO) == STDOUT_FILENO);
  ::close(real_stdout);
  return sink;
}

BOOST_AUTO_TEST_SUITE(access_log)

BOOST_AUTO_TEST_CASE(json_has_every_field) {
  BOOST_TEST(json_line(full_record()) ==
             R"({"time":"2026-01-31T12:00:00.123Z","client":"192.0.2.7","client_port":51234,)"
             R"("request_id":"00ff","listener":"web","method":"GET","scheme":"http",)"
             R"("sni":"cdn.example.com","host":"cdn.example.com",)"
             R"("target":"/a.png?x=1","version":"HTTP/1.1","status":200,"reason":"done",)"
             R"("detail":null,"rule":"images","pool":"image-pool","server":"i1",)"
             R"("scheduler":"lblcr","sticky":"moved","attempts":2,"reused":true,)"
             R"("bytes_in":90,"bytes_out":1234,)"
             R"("queue_us":5,"connect_us":0,"first_byte_us":2000,"total_us":3000,)"
             R"("referer":"http://example.com/","user_agent":"curl/8.0"})"
             "\n");
}

BOOST_AUTO_TEST_CASE(json_of_an_empty_record_has_the_same_keys) {
  const json full = json::parse(json_line(full_record()));
  const json empty = json::parse(json_line(AccessRecord{}));
  for (const auto& [key, value] : full.items()) BOOST_TEST(empty.contains(key), key);
  BOOST_TEST(empty.size() == full.size());
  for (const char* key : {"client", "client_port", "method", "server", "queue_us", "total_us"}) {
    BOOST_TEST(empty[key].is_null(), key);
  }
  BOOST_TEST(empty["time"] == "1970-01-01T00:00:00.000Z");
}

BOOST_AUTO_TEST_CASE(json_names_every_reason) {
  for (uint32_t i = 0; i < kReasonCount; ++i) {
    AccessRecord record;
    record.reason = static_cast<Reason>(i);
    BOOST_TEST(json::parse(json_line(record))["reason"] == kReasons[i].name);
  }
}

BOOST_AUTO_TEST_CASE(client_addresses) {
  struct Case {
    const char* description;
    const char* address;
    const char* json;
    const char* combined;
  };
  for (const Case& test : {
           Case{"IPv4", "203.0.113.9:1", R"("client":"203.0.113.9","client_port":1,)",
                "203.0.113.9 "},
           Case{"IPv6", "[2001:db8::1]:65535", R"("client":"2001:db8::1","client_port":65535,)",
                "2001:db8::1 "},
           Case{"unix", "unix:/run/x", R"("client":null,"client_port":null,)", "- "},
       }) {
    const SocketAddress address = SocketAddress::parse(test.address).value();
    AccessRecord record;
    record.client = &address;
    BOOST_TEST(json_line(record).contains(test.json), test.description);
    BOOST_TEST(combined_line(record).starts_with(test.combined), test.description);
  }
}

BOOST_AUTO_TEST_CASE(combined_shows_what_there_is_of_a_refused_request) {
  AccessRecord record;
  record.target = "no request at all";
  BOOST_TEST(combined_line(record).contains(" \"no request at all\" 000 "));
  record.method = "GET";
  BOOST_TEST(combined_line(record).contains(" \"GET no request at all\" 000 "));
}

BOOST_AUTO_TEST_CASE(combined_is_what_apache_writes) {
  BOOST_TEST(combined_line(full_record()) ==
             "192.0.2.7 - - [31/Jan/2026:12:00:00 +0000] \"GET /a.png?x=1 HTTP/1.1\" 200 1234 "
             "\"http://example.com/\" \"curl/8.0\"\n");
  BOOST_TEST(combined_line(AccessRecord{}) ==
             "- - - [01/Jan/1970:00:00:00 +0000] \"-\" 000 0 \"-\" \"-\"\n");
}

// Each possible byte in each text of a client: one line, valid, and for JSON the ASCII part comes
// back as it was.
BOOST_AUTO_TEST_CASE(no_byte_breaks_a_line) {
  for (int value = 0; value < 256; ++value) {
    const std::string nasty = std::string("a") + static_cast<char>(value) + "b";
    AccessRecord record = full_record();
    record.method = record.host = record.target = record.referer = record.user_agent = nasty;
    const std::string line = json_line(record);
    BOOST_TEST(line.find('\n') == line.size() - 1);
    const json parsed = json::parse(line);
    const std::string expected = value < 0x80 ? nasty
                                              : "a\xef\xbf\xbd"
                                                "b";
    BOOST_TEST(parsed["user_agent"] == expected, value);
    BOOST_TEST(parsed["target"] == expected, value);

    const std::string combined = combined_line(record);
    BOOST_TEST(combined.find('\n') == combined.size() - 1);
    BOOST_TEST(std::ranges::count(combined, '"') == 6, value);
    for (const char c : combined.substr(0, combined.size() - 1))
      BOOST_TEST((c >= 0x20 && c < 0x7f));
  }
}

BOOST_AUTO_TEST_CASE(nasty_texts) {
  struct Case {
    const char* description;
    std::string text;
    const char* combined;
  };
  for (const Case& test : {
           Case{"forged line", "x\" 200 1\n10.0.0.1", "x\\x22 200 1\\x0a10.0.0.1"},
           Case{"escape sequence", "\x1b[2J", "\\x1b[2J"},
           Case{"backslash", "a\\nb", "a\\x5cnb"},
           Case{"UTF-8", "\xc3\xa9", "\\xc3\\xa9"},
           Case{"overlong", "\xc0\xaf", "\\xc0\\xaf"},
           Case{"cut UTF-8", "\xe2\x82", "\\xe2\\x82"},
       }) {
    AccessRecord record = full_record();
    record.user_agent = test.text;
    BOOST_TEST(json::parse(json_line(record)).is_object(), test.description);
    const std::string quoted = std::string("\"") + test.combined + "\"\n";
    BOOST_TEST(combined_line(record).ends_with(quoted), test.description);
  }
}

BOOST_AUTO_TEST_CASE(buffers_until_flushed_and_flushes_when_large) {
  const Scratch scratch;
  const std::string path = scratch.file("access.log");
  const auto sink = AccessLogSink::open(path).value();
  AccessLog log(*sink, config::AccessLogFormat::kJson);
  log.write(full_record());
  BOOST_TEST(read_file(path).empty());
  log.flush();
  BOOST_TEST(read_file(path) == json_line(full_record()));
  for (int i = 0; i < 100; ++i) log.write(full_record());
  const std::string written = read_file(path);
  BOOST_TEST(written.size() >= 32 * 1024);
  BOOST_TEST(written.back() == '\n');
}

BOOST_AUTO_TEST_CASE(off_writes_nothing) {
  const auto sink = AccessLogSink::open("off").value();
  BOOST_TEST(!sink->enabled());
  AccessLog log(*sink, config::AccessLogFormat::kJson);
  log.write(full_record());
  log.flush();
  BOOST_TEST(sink->reopen().has_value());
}

BOOST_AUTO_TEST_CASE(reopen_follows_a_rotation) {
  const Scratch scratch;
  const std::string path = scratch.file("access.log");
  const auto sink = AccessLogSink::open(path).value();
  sink->write("before\n");
  std::filesystem::rename(path, path + ".1");
  sink->write("between\n");
  BOOST_REQUIRE(sink->reopen().has_value());
  sink->write("after\n");
  BOOST_TEST(read_file(path + ".1") == "before\nbetween\n");
  BOOST_TEST(read_file(path) == "after\n");
}

BOOST_AUTO_TEST_CASE(a_reopen_that_fails_keeps_the_old_file) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch.path / "logs");
  const std::string path = scratch.file("logs/access.log");
  const auto sink = AccessLogSink::open(path).value();
  std::filesystem::rename(scratch.path / "logs", scratch.path / "gone");
  const Result<void> reopened = sink->reopen();
  BOOST_REQUIRE(!reopened.has_value());
  BOOST_TEST(reopened.error().sys == ENOENT);
  BOOST_TEST(reopened.error().text.contains(path));
  sink->write("kept\n");
  BOOST_TEST(read_file(scratch.file("gone/access.log")) == "kept\n");
}

BOOST_AUTO_TEST_CASE(opening_what_cannot_be_opened_says_why) {
  const auto sink = AccessLogSink::open("/nonexistent/access.log");
  BOOST_REQUIRE(!sink.has_value());
  BOOST_TEST(sink.error().text ==
             "access log \"/nonexistent/access.log\": No such file or directory");
}

BOOST_AUTO_TEST_CASE(take_over_moves_to_another_place) {
  const Scratch scratch;
  const auto sink = AccessLogSink::open("off").value();
  {
    const auto next = AccessLogSink::open(scratch.file("new.log")).value();
    sink->take_over(*next);
  }
  BOOST_TEST(sink->enabled());
  sink->write("line\n");
  BOOST_REQUIRE(sink->reopen().has_value());
  sink->write("more\n");
  BOOST_TEST(read_file(scratch.file("new.log")) == "line\nmore\n");
  sink->take_over(*AccessLogSink::open("off").value());
  BOOST_TEST(!sink->enabled());
}

BOOST_AUTO_TEST_CASE(a_full_disk_drops_lines_and_counts_them) {
  const auto sink = AccessLogSink::open("/dev/full").value();
  sink->write("one\ntwo\n");
  BOOST_TEST(sink->lost().lines == 2u);
  BOOST_TEST(sink->lost().sys == ENOSPC);
}

// A pipe that nobody empties takes half a line; what comes later begins on a line of its own.
BOOST_AUTO_TEST_CASE(a_torn_line_does_not_swallow_the_next) {
  const Ends pipe = Ends::pipe();
  const int size = fcntl(pipe.write, F_SETPIPE_SZ, 4096);
  BOOST_REQUIRE(size >= 4096);
  const auto sink = open_as_stdout(pipe.write);

  const auto capacity = static_cast<size_t>(size);
  sink->write("first\n" + std::string(capacity, 'x') + "\nthird\n");
  BOOST_TEST(sink->lost().lines == 2u);
  BOOST_TEST(sink->lost().sys == EAGAIN);
  const std::string received = pipe.receive();
  BOOST_TEST(received.size() == capacity);
  BOOST_TEST(received.starts_with("first\nxxx"));

  sink->write("next\n");
  BOOST_TEST(pipe.receive() == "\nnext\n");
  BOOST_TEST(sink->lost().lines == 2u);
}

// Whatever stdout is, and although whoever started us expects it to block: a reader that has
// stopped costs lines, not time.
BOOST_AUTO_TEST_CASE(a_stdout_that_nobody_reads_holds_nobody_up) {
  struct Case {
    const char* description;
    Ends (*make)();
    bool as_nobody;  // Who may not open root's pipe anew.
  };
  for (const Case& test :
       {Case{"pipe", &Ends::pipe, false}, Case{"shared pipe", &Ends::pipe, true},
        Case{"socket", &Ends::sockets, false}, Case{"terminal", &Ends::terminal, false}}) {
    if (test.as_nobody && ::geteuid() != 0) continue;
    const Ends ends = test.make();
    if (test.as_nobody) BOOST_REQUIRE(::seteuid(65534) == 0);
    const auto sink = open_as_stdout(ends.write);
    if (test.as_nobody) BOOST_REQUIRE(::seteuid(0) == 0);
    BOOST_TEST((fcntl(ends.write, F_GETFL) & O_NONBLOCK) == 0, test.description);

    const std::string lines = std::string(8191, 'x') + "\n";
    auto writer = std::async(std::launch::async, [&] {
      for (int i = 0; i < 300; ++i) sink->write(lines);
      BOOST_TEST(sink->reopen().has_value());
      sink->take_over(*AccessLogSink::open("off").value());
    });
    // More than the patience of each write would allow for.
    const bool in_time = writer.wait_for(10s) == std::future_status::ready;
    BOOST_TEST(in_time, test.description);
    ends.hang_up();  // Lets a writer that is stuck go.
    writer.wait();
    BOOST_TEST(sink->lost().lines > 0u, test.description);
    BOOST_TEST(sink->lost().lines < 300u, test.description);
  }
}

BOOST_AUTO_TEST_CASE(a_reader_that_comes_back_gets_whole_lines) {
  const Ends pipe = Ends::pipe();
  const auto sink = open_as_stdout(pipe.write);
  const std::string line = std::string(999, 'x') + "\n";
  while (sink->lost().lines == 0) sink->write(line);
  std::string received = pipe.receive();
  sink->write("next\n");
  received += pipe.receive();
  BOOST_TEST(received.ends_with("\nnext\n"));
}

BOOST_AUTO_TEST_CASE(a_fifo_is_opened_without_waiting_for_its_reader) {
  const Scratch scratch;
  const std::string path = scratch.file("fifo");
  BOOST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  Error refused;
  auto opening = std::async(std::launch::async, [&] {
    const auto sink = AccessLogSink::open(path);
    if (!sink) refused = sink.error();
  });
  const bool in_time = opening.wait_for(5s) == std::future_status::ready;
  BOOST_TEST(in_time);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  BOOST_REQUIRE(reader >= 0);
  opening.wait();
  BOOST_TEST(refused.sys == ENXIO);
  BOOST_TEST(refused.text.ends_with("(start the FIFO's reader first)"));

  const auto sink = AccessLogSink::open(path).value();
  sink->write("line\n");
  std::string received(100, '\0');
  BOOST_TEST(::read(reader, received.data(), received.size()) == 5);
  ::close(reader);
}

// Only root's own file, under its own name, goes to another user.
BOOST_AUTO_TEST_CASE(the_file_can_be_given_away) {
  if (::geteuid() != 0) return;
  constexpr uint32_t kNobody = 65534;
  const Scratch scratch;
  const auto owner_of = [&](const char* name) {
    struct stat status{};
    BOOST_REQUIRE(::stat(scratch.file(name).c_str(), &status) == 0);
    return status.st_uid;
  };
  const auto give = [&](const char* name) {
    BOOST_REQUIRE(AccessLogSink::open(scratch.file(name)).value()->give_to(kNobody).has_value());
  };
  give("access.log");
  BOOST_TEST(owner_of("access.log") == kNobody);

  std::ofstream(scratch.file("secret")) << "x";
  std::filesystem::create_symlink("secret", scratch.file("symbolic.log"));
  give("symbolic.log");
  BOOST_TEST(owner_of("secret") == 0u);
  std::filesystem::create_hard_link(scratch.file("secret"), scratch.file("hard.log"));
  give("hard.log");
  BOOST_TEST(owner_of("secret") == 0u);

  std::ofstream(scratch.file("other.log")) << "x";
  BOOST_REQUIRE(::chown(scratch.file("other.log").c_str(), 1234, 1234) == 0);
  give("other.log");
  BOOST_TEST(owner_of("other.log") == 1234u);
}

BOOST_AUTO_TEST_CASE(lines_of_two_threads_never_mix) {
  const Scratch scratch;
  const std::string path = scratch.file("access.log");
  const auto sink = AccessLogSink::open(path).value();
  constexpr int kLines = 2000;
  const auto work = [&sink](std::string_view agent) {
    AccessLog log(*sink, config::AccessLogFormat::kJson);
    AccessRecord record = full_record();
    record.user_agent = agent;
    for (int i = 0; i < kLines; ++i) log.write(record);
    log.flush();
  };
  std::thread first(work, "first");
  std::thread second(work, "second");
  first.join();
  second.join();
  std::ifstream in(path);
  int count = 0;
  for (std::string line; std::getline(in, line); ++count) {
    BOOST_TEST(json::accept(line));
  }
  BOOST_TEST(count == 2 * kLines);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::proxy
