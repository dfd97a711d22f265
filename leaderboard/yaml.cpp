#include "leaderboard/yaml.h"

#include <yaml-cpp/yaml.h>

#include <charconv>

namespace diffreward {
namespace {

class YamlReader {
 public:
  explicit YamlReader(std::string_view where) : where_(where) {}

  Json read(const YAML::Node& node, int depth = 0) {
    // Aliases let a short text stand for a very long one, or for one without an end.
    expect(++nodes_ <= kMostYamlNodes, node, "at most ", kMostYamlNodes, " values, found more");
    expect(depth <= kDeepestJson, node, "at most ", kDeepestJson, " levels, found more");
    if (node.IsSequence()) {
      Json list = Json::array();
      for (const YAML::Node& item : node) list.push_back(read(item, depth + 1));
      return list;
    }
    if (node.IsMap()) {
      LargeJson seen = LargeJson::object();
      Json object = Json::object();
      for (const auto& member : node) {
        const YAML::Node &key = member.first, &value = member.second;
        expect(key.IsScalar(), key, "keys that are texts, found another");
        expect(seen.emplace(key.Scalar(), nullptr).second, key, "each key once, found two of ", key.Scalar());
        object.get_ref<Json::object_t&>().emplace_back(key.Scalar(),
                                                       read(value, depth + 1));  // looks for no other
      }
      return object;
    }
    return node.IsScalar() ? scalar(node) : Json();
  }

 private:
  template <class... What>
  void expect(bool good, const YAML::Node& node, const What&... what) const {
    if (good) return;
    const YAML::Mark mark = node.Mark();
    throw Error(
        concat(where_, mark.is_null() ? "" : concat(": line ", mark.line + 1), ": expected ", what...));
  }

  static Json scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() != "?") return text;  // in quotes, or of a type that somebody named
    if (text.empty() || text == "~" || text == "null") return nullptr;
    if (text == "true" || text == "false") return text == "true";
    const char *first = text.data(), *last = first + text.size();
    std::int64_t whole = 0;
    if (const auto [end, failure] = std::from_chars(first, last, whole);
        failure == std::errc() && end == last)
      return whole;
    double number = 0;
    const bool digit = text.find_first_of("0123456789") != std::string::npos;  // no name of infinity
    if (const auto [end, failure] = std::from_chars(first, last, number);
        digit && failure == std::errc() && end == last)
      return number;
    return text;
  }

  std::string_view where_;
  int nodes_ = 0;
};

}  // namespace

Json parse_yaml(const std::string& text, std::string_view where) {
  if (text.size() > kMostYaml)
    throw Error(concat(where, ": expected at most ", kMostYaml, " bytes of YAML, found ", text.size()));
  try {
    return YamlReader(where).read(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    throw Error(concat(where, error.mark.is_null() ? "" : concat(": line ", error.mark.line + 1),
                       ": expected YAML, found: ", error.msg));
  }
}

}  // namespace diffreward
