// The access log: what a line looks like, that no byte of a client can break one, and what happens
// to the lines when the file is rotated, replaced or full.
#include "proxy/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
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
  record.listener = "web";
  record.method = "GET";
  record.scheme = "http";
  record.host = "cdn.example.com";
  record.target = "/a.png?x=1";
  record.version = "HTTP/1.1";
  record.referer = "http://example.com/";
  record.user_agent = "curl/8.0";
  record.rule = "images";
  record.pool = "image-pool";
  record.server = "i1";
  record.scheduler = "lblcr";
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

BOOST_AUTO_TEST_SUITE(access_log)

BOOST_AUTO_TEST_CASE(json_has_every_field) {
  BOOST_TEST(json_line(full_record()) ==
             R"({"time":"2026-01-31T12:00:00.123Z","client":"192.0.2.7","client_port":51234,)"
             R"("listener":"web","method":"GET","scheme":"http","host":"cdn.example.com",)"
             R"("target":"/a.png?x=1","version":"HTTP/1.1","status":200,"reason":"done",)"
             R"("detail":null,"rule":"images","pool":"image-pool","server":"i1",)"
             R"("scheduler":"lblcr","attempts":2,"reused":true,"bytes_in":90,"bytes_out":1234,)"
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

// A non-blocking pipe that nobody empties takes half a line; what comes later begins on a line of
// its own.
BOOST_AUTO_TEST_CASE(a_torn_line_does_not_swallow_the_next) {
  int ends[2];
  BOOST_REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
  const int size = fcntl(ends[1], F_SETPIPE_SZ, 4096);
  BOOST_REQUIRE(size >= 4096);
  const int real_stdout = ::dup(STDOUT_FILENO);
  BOOST_REQUIRE(::dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
  const auto sink = AccessLogSink::open("stdout").value();
  BOOST_REQUIRE(::dup2(real_stdout, STDOUT_FILENO) == STDOUT_FILENO);

  const auto capacity = static_cast<size_t>(size);
  sink->write("first\n" + std::string(capacity, 'x') + "\nthird\n");
  BOOST_TEST(sink->lost().lines == 2u);
  BOOST_TEST(sink->lost().sys == EAGAIN);
  std::string received(2 * capacity, '\0');
  BOOST_TEST(::read(ends[0], received.data(), received.size()) == size);
  BOOST_TEST(received.starts_with("first\nxxx"));

  sink->write("next\n");
  const ssize_t got = ::read(ends[0], received.data(), received.size());
  BOOST_REQUIRE(got > 0);
  BOOST_TEST(received.substr(0, static_cast<size_t>(got)) == "\nnext\n");
  BOOST_TEST(sink->lost().lines == 2u);
  for (const int fd : {ends[0], ends[1], real_stdout}) ::close(fd);
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
