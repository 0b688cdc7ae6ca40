// The log on standard error: the form of a line, levels, and that a text cannot forge a line.
#include "core/log.h"

#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <regex>
#include <string>

namespace shunt {
namespace {

// What `action` writes to standard error (less than a pipe holds).
template <class Action>
std::string captured(Action action) {
  int pipe_ends[2];
  BOOST_REQUIRE(pipe(pipe_ends) == 0);
  const int saved = dup(STDERR_FILENO);
  dup2(pipe_ends[1], STDERR_FILENO);
  close(pipe_ends[1]);
  action();
  dup2(saved, STDERR_FILENO);
  close(saved);
  std::string text(4096, '\0');
  const ssize_t size = read(pipe_ends[0], text.data(), text.size());
  close(pipe_ends[0]);
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return text;
}

BOOST_AUTO_TEST_SUITE(process_log)

BOOST_AUTO_TEST_CASE(a_line_has_time_level_and_text) {
  const std::string line = captured([] { log::info("{} of {}", 1, "two"); });
  const std::regex form(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info 1 of two\n)");
  BOOST_TEST(std::regex_match(line, form), line);
}

BOOST_AUTO_TEST_CASE(what_is_below_the_level_is_silent) {
  log::set_level(log::Level::kWarning);
  const std::string lines = captured([] {
    log::debug("d");
    log::info("i");
    log::warning("w");
    log::error("e");
  });
  log::set_level(log::Level::kInfo);
  BOOST_TEST(lines.find(" debug d") == std::string::npos);
  BOOST_TEST(lines.find(" info i") == std::string::npos);
  BOOST_TEST(lines.find(" warning w\n") != std::string::npos);
  BOOST_TEST(lines.find(" error e\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(line_breaks_and_controls_are_marked) {
  const std::string lines = captured([] { log::info("one\ntwo\x1b[31m\r\n"); });
  const std::regex form(R"(\S+Z info one\n\S+Z info \| two\\x1b\[31m\\x0d\n)");
  BOOST_TEST(std::regex_match(lines, form), lines);
}

BOOST_AUTO_TEST_CASE(nobody_waits_for_a_reader_that_is_stuck) {
  const uint64_t dropped_before = log::dropped();
  int pipe_ends[2];
  BOOST_REQUIRE(pipe(pipe_ends) == 0);
  const int saved = dup(STDERR_FILENO);
  dup2(pipe_ends[1], STDERR_FILENO);
  close(pipe_ends[1]);
  // Far more than a pipe holds; a write that blocks would end this test by its time limit.
  for (int i = 0; i < 1000; ++i) log::warning("{:0>1000}", i);
  const uint64_t dropped = log::dropped() - dropped_before;
  std::string text(1 << 20, '\0');
  ssize_t size = read(pipe_ends[0], text.data(), text.size());
  text.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  const auto lines = static_cast<uint64_t>(std::ranges::count(text, '\n'));
  log::warning("later");
  std::string later(4096, '\0');
  size = read(pipe_ends[0], later.data(), later.size());
  later.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  dup2(saved, STDERR_FILENO);
  close(saved);
  close(pipe_ends[0]);
  BOOST_TEST(dropped > 800u);
  BOOST_TEST(lines + dropped == 1000u);
  const std::string told = std::to_string(dropped) + " lines of this log were dropped";
  BOOST_TEST(later.contains(told), later);
  BOOST_TEST(later.ends_with(" warning later\n"), later);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt
