// Files and includes: order, globs, and what must be refused. And the files of config/, as they are
// shipped.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "core/config_load.h"
#include "unit/core/config_fixture.h"

namespace shunt::config {
namespace {

namespace fs = std::filesystem;

// A folder of its own for each test, gone with it.
class Folder {
 public:
  Folder()
      : path_(fs::temp_directory_path() /
              ("shunt-config-" + std::to_string(std::random_device()()))) {
    fs::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  fs::path operator/(std::string_view name) const { return path_ / name; }
  void write(std::string_view name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  Loaded load(std::string_view name) const { return load_file(path_ / name, kVocabulary); }

 private:
  const fs::path path_;
};

const std::string kFarm = std::string(kListenerText) + std::string(kPoolText);

std::string rule(const std::string& name) {
  return "[[rule]]\nname = \"" + name + "\"\npool = \"pages\"\n";
}

std::string rule_names(const Loaded& loaded) {
  std::string names;
  for (const Rule& one : loaded.config.rules) names += one.name + " ";
  return names;
}

BOOST_AUTO_TEST_SUITE(config_files)

BOOST_AUTO_TEST_CASE(included_rules_stand_where_the_include_is_in_the_order_of_their_names) {
  const Folder folder;
  folder.write("farm.toml", "include = [\"z.toml\", \"rules/*.toml\"]\n" + kFarm + rule("last"));
  folder.write("z.toml", rule("z"));
  folder.write("rules/20.toml", rule("twenty"));
  folder.write("rules/10.toml", "include = \"deeper/*.toml\"\n" + rule("ten"));
  folder.write("rules/30.txt", rule("not-this"));
  folder.write("rules/deeper/a.toml", rule("deep"));
  const Loaded loaded = folder.load("farm.toml");
  BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().empty(), loaded.diagnostics.to_string());
  BOOST_TEST(rule_names(loaded) == "z deep ten twenty last ");
}

BOOST_AUTO_TEST_CASE(a_pattern_may_match_nothing_and_a_folder_may_have_any_name) {
  const Folder folder;
  folder.write("[odd] *name/farm.toml", "include = [\"none/*.toml\", \"r*.toml\"]\n" + kFarm);
  folder.write("[odd] *name/r.toml", rule("found"));
  const Loaded loaded = folder.load("[odd] *name/farm.toml");
  BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().empty(), loaded.diagnostics.to_string());
  BOOST_TEST(rule_names(loaded) == "found ");
}

BOOST_AUTO_TEST_CASE(refused_includes) {
  const struct {
    const char* description;
    const char* include;
    const char* message;
    const char* place;  // In farm.toml.
  } cases[] = {
      {"no such file", "[\"a.toml\", \"none.toml\"]", "none.toml\": No such file", ":1:22:"},
      {"a folder", "[\"folder\"]", "it is a directory", ":1:12:"},
      {"itself", "[\"farm.toml\"]", "farm.toml\" includes itself", ":1:12:"},
      {"twice", "[\"a.toml\", \"a.toml\"]", "a.toml\" is included twice, first at", ":1:22:"},
      {"twice under two names", "[\"a.toml\", \"folder/../a.toml\"]", "is included twice",
       ":1:22:"},
      {"twice by a pattern", "[\"a.toml\", \"?.toml\"]", "a.toml\" is included twice", ":1:22:"},
      {"empty", "[\"\"]", "\"include\" must not be empty", ":1:12:"},
      {"not a string", "[1]", "\"include\" must be a string or an array of strings", ":1:12:"},
  };
  for (const auto& [description, include, message, place] : cases) {
    BOOST_TEST_CONTEXT(description) {
      const Folder folder;
      folder.write("folder/x", "");
      folder.write("a.toml", rule("a"));
      folder.write("farm.toml", std::string("include = ") + include + "\n" + kFarm);
      const Loaded loaded = folder.load("farm.toml");
      const std::string text = loaded.diagnostics.to_string();
      BOOST_TEST(loaded.diagnostics.error_count() == 1u, text);
      BOOST_TEST(text.find(message) != std::string::npos, text);
      BOOST_TEST(text.find((folder / "farm.toml").string() + place) == 0u, text);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_cycle_over_several_files_is_found) {
  const Folder folder;
  folder.write("a.toml", "include = \"b.toml\"\n" + kFarm);
  folder.write("b.toml", "include = \"c.toml\"\n");
  folder.write("c.toml", "include = \"a.toml\"\n");
  const std::string text = folder.load("a.toml").diagnostics.to_string();
  BOOST_TEST(text.find((folder / "c.toml").string() + ":1:11: error: ") == 0u, text);
  BOOST_TEST(text.find("includes itself") != std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(problems_name_the_file_they_are_in) {
  const Folder folder;
  folder.write("farm.toml", "include = \"r.toml\"\n" + kFarm + "[global]\n");
  folder.write("r.toml", "[global]\n" + rule("r") + "[pool.pages]\nserver = []\nretris = 1\n");
  const Loaded loaded = folder.load("farm.toml");
  const std::string text = loaded.diagnostics.to_string();
  const std::string main_file = (folder / "farm.toml").string();
  const std::string included = (folder / "r.toml").string();
  BOOST_TEST(loaded.diagnostics.error_count() == 4u, text);
  BOOST_TEST(text.find(main_file + ":7:1: error: [global] was given before, at " + included +
                       ":1") != std::string::npos,
             text);
  BOOST_TEST(text.find(main_file + ":5:1: error: pool \"pages\" is given twice, first at " +
                       included + ":5") != std::string::npos,
             text);
  BOOST_TEST(text.find(included + ":7:1: error: unknown key \"retris\"") != std::string::npos,
             text);
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_read_is_an_error) {
  const Folder folder;
  const std::string missing = folder.load("missing.toml").diagnostics.to_string();
  BOOST_TEST(missing == (folder / "missing.toml").string() +
                            ": error: cannot read the file: No such file or directory\n");
  folder.write("folder/x", "");
  const std::string directory = folder.load("folder").diagnostics.to_string();
  BOOST_TEST(directory.find("it is a directory") != std::string::npos, directory);
  const std::string endless = load_file("/dev/zero", kVocabulary).diagnostics.to_string();
  BOOST_TEST(endless.find("larger than 16 MiB") != std::string::npos, endless);
}

BOOST_AUTO_TEST_CASE(texts_from_memory_include_nothing) {
  const Loaded loaded = load("include = \"/etc/passwd\"\n" + kFarm);
  BOOST_REQUIRE(loaded.diagnostics.all().size() == 1u);
  BOOST_TEST(loaded.diagnostics.all()[0].text.find("needs a file") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_shipped_files_load_without_a_word) {
  for (const char* name : {"smallest.toml", "farm.toml", "reference.toml"}) {
    const Loaded loaded = load_file(std::string(SHUNT_SOURCE_DIR) + "/config/" + name, kVocabulary);
    BOOST_TEST(loaded.diagnostics.all().empty(), loaded.diagnostics.to_string());
    BOOST_TEST(!loaded.config.listeners.empty());
    BOOST_TEST(!loaded.config.rules.empty());
  }
}

BOOST_AUTO_TEST_CASE(the_farm_has_every_type_of_pool_and_tests) {
  const Loaded loaded = load_file(std::string(SHUNT_SOURCE_DIR) + "/config/farm.toml", kVocabulary);
  BOOST_TEST(loaded.config.pools.size() == 6u);
  BOOST_TEST(loaded.config.listeners.size() == 2u);
  BOOST_TEST(loaded.config.tests.size() >= 6u);
  BOOST_TEST(loaded.config.rules.back().name == "default");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::config
