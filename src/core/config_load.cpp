// The top of the loader: files, includes, and the tables of the top level.
//   load_file -> (a) read_file -> (b) parse_toml -> (c) includes, each from (a) -> (d) tables of
//   this file
//             -> (e) check_and_resolve, once, over everything
// An included file counts as if its text stood where `include` is, which TOML wants above the first
// table. Owned by one load, on the thread that loads.
#include "core/config_load.h"

#include <glob.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <tuple>

#include "core/config_load_parts.h"

namespace shunt::config {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFileSizeMax =
    16 * 1024 * 1024;  // Keeps /dev/zero and the like from filling the memory.
constexpr std::string_view kGlobCharacters = "*?[";

Result<std::string> read_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return fail(error ? error.message() : "no such file");
  if (fs::is_directory(status)) return fail("it is a directory");
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return fail(errno != 0 ? std::strerror(errno) : "it cannot be opened for reading");
  std::string text;
  char chunk[64 * 1024];
  while (stream.read(chunk, sizeof(chunk)) || stream.gcount() > 0) {
    text.append(chunk, static_cast<size_t>(stream.gcount()));
    if (text.size() > kFileSizeMax) return fail("it is larger than 16 MiB");
  }
  return text;
}

// The files that `pattern` (absolute or relative to `folder`) names, sorted. A literal name names
// itself.
std::vector<fs::path> expand(const fs::path& folder, std::string_view pattern) {
  if (pattern.find_first_of(kGlobCharacters) == std::string_view::npos)
    return {(folder / pattern).lexically_normal()};
  std::string full;
  if (!pattern.starts_with('/') && !folder.empty()) {
    for (const char c : folder.string()) {  // Only the pattern is one, not the folder it is in.
      if (kGlobCharacters.find(c) != std::string_view::npos || c == '\\') full += '\\';
      full += c;
    }
    full += '/';
  }
  full += pattern;
  std::vector<fs::path> paths;
  glob_t found{};
  if (glob(full.c_str(), 0, nullptr, &found) == 0)
    for (size_t i = 0; i < found.gl_pathc; ++i)
      paths.push_back(fs::path(found.gl_pathv[i]).lexically_normal());
  globfree(&found);
  std::ranges::sort(paths);
  return paths;
}

std::string identity(const fs::path& path) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(path, error);
  return error ? path.string() : canonical.string();
}

class Loader {
 public:
  explicit Loader(const Vocabulary& vocabulary)
      : loading_{draft_, loaded_.diagnostics, vocabulary, 0} {}

  Loaded file(const fs::path& path) {
    const Result<std::string> text = read_file(path);
    const uint32_t file = loaded_.diagnostics.add_file(path.string(), text.value_or(""));
    if (!text) {
      loaded_.diagnostics.error(Place{file, 0, 0},
                                fmt::format("cannot read the file: {}", text.error().text));
      return std::move(loaded_);
    }
    included_.emplace(identity(path), Place{file, 1, 1});
    open_.push_back(identity(path));
    load(*text, file, &path);
    return finish(file);
  }

  Loaded text(std::string_view text, std::string_view name) {
    const uint32_t file = loaded_.diagnostics.add_file(std::string(name), std::string(text));
    load(text, file, nullptr);
    return finish(file);
  }

 private:
  Loaded finish(uint32_t main_file) {
    check_and_resolve(draft_, Place{main_file, 1, 1}, loaded_.diagnostics);
    loaded_.config = std::move(draft_.config);
    return std::move(loaded_);
  }

  // `path` is null for texts from memory.
  void load(std::string_view text, uint32_t file, const fs::path* path) {
    loading_.file = file;
    const toml::table root = parse_toml(loading_, text);
    TableReader reader(loading_, root, kTopKeys, "the top level");
    const std::vector<Text> patterns = reader.strings("include");
    const bool damaged = loading_.damaged;
    for (const Text& pattern : patterns) include(pattern, path);
    loading_.file = file;
    loading_.damaged = damaged;

    if (const toml::table* global = reader.table("global")) load_global(loading_, *global);
    if (const toml::table* resolver = reader.table("resolver")) load_resolver(loading_, *resolver);
    reader.tables("listener", [&](const toml::table& one) { load_listener(loading_, one); });
    if (const toml::table* pools = reader.table("pool")) load_pools(*pools);
    reader.tables("service", [&](const toml::table& one) { load_service(loading_, one); });
    reader.tables("rule", [&](const toml::table& one) { load_rule(loading_, one); });
    reader.tables("test", [&](const toml::table& one) { load_test(loading_, one); });
  }

  void load_pools(const toml::table& pools) {
    struct Entry {
      std::string_view name;
      const toml::node* node;
    };
    std::vector<Entry> entries;
    for (const auto& [name, node] : pools) entries.push_back({name.str(), &node});
    // toml++ sorts by name; messages and indexes follow the file.
    std::ranges::sort(entries, {}, [](const Entry& entry) {
      const toml::source_position& begin = entry.node->source().begin;
      return std::tuple(begin.line, begin.column, entry.name);
    });
    for (const Entry& entry : entries) {
      if (const toml::table* pool = entry.node->as_table()) {
        load_pool(loading_, entry.name, *pool);
      } else {
        loading_.error(
            *entry.node,
            fmt::format("pool \"{}\" must be a table, not {}", entry.name, type_name(*entry.node)),
            "pools are tables with names: [pool.NAME]");
      }
    }
  }

  void include(const Text& pattern, const fs::path* path) {
    if (path == nullptr) {
      loaded_.diagnostics.error(pattern.place, "\"include\" needs a file to be relative to");
      return;
    }
    for (const fs::path& one : expand(path->parent_path(), pattern.value))
      include_file(one, pattern.place);
  }

  void include_file(const fs::path& path, Place from) {
    Diagnostics& diagnostics = loaded_.diagnostics;
    const std::string id = identity(path);
    if (std::ranges::find(open_, id) != open_.end()) {
      diagnostics.error(from, fmt::format("\"{}\" includes itself", path.string()));
      return;
    }
    const auto [first, added] = included_.emplace(id, from);
    if (!added) {
      diagnostics.error(from,
                        fmt::format("\"{}\" is included twice, first at {}:{}", path.string(),
                                    diagnostics.file_name(first->second.file), first->second.line));
      return;
    }
    const Result<std::string> text = read_file(path);
    if (!text) {
      draft_.incomplete = true;
      diagnostics.error(from, fmt::format("cannot read the included file \"{}\": {}", path.string(),
                                          text.error().text));
      return;
    }
    open_.push_back(id);
    load(*text, diagnostics.add_file(path.string(), *text), &path);
    open_.pop_back();
  }

  Loaded loaded_;
  Draft draft_;
  Loading loading_;
  std::map<std::string, Place> included_;  // By identity: where from.
  std::vector<std::string> open_;          // The files that are being read, outermost first.
};

}  // namespace

Loaded load_file(const fs::path& path, const Vocabulary& vocabulary) {
  return Loader(vocabulary).file(path);
}

Loaded load_text(std::string_view text, std::string_view name, const Vocabulary& vocabulary) {
  return Loader(vocabulary).text(text, name);
}

}  // namespace shunt::config
