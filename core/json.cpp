#include "core/json.h"

#include "core/file.h"

namespace diffreward {
namespace {

constexpr std::size_t kShown = 60;  // characters of a value in a message
constexpr std::size_t kItems = 8;   // items of a list or object that are looked at for it

struct TooDeep {};

/// A copy with lists and objects cut after kItems and nested ones left out: cheap to print, whatever its
/// size.
Json cut(const Json& value) {
  if (!value.is_structured())
    return value.is_string() ? Json(value.get_ref<const std::string&>().substr(0, kShown)) : value;
  Json out = value.is_array() ? Json::array() : Json::object();
  std::size_t left = kItems;
  for (const auto& [key, item] : value.items()) {
    if (left-- == 0) break;
    const Json shown = item.is_structured() ? Json("...") : cut(item);
    if (value.is_array())
      out.push_back(shown);
    else
      out[key.substr(0, kShown)] = shown;
  }
  return out;
}

template <class Value>
Value parse(std::string_view text, std::string_view where) {
  const auto limit = [](int depth, typename Value::parse_event_t event, const Value&) {
    using Event = typename Value::parse_event_t;
    if (depth >= kDeepestJson && (event == Event::object_start || event == Event::array_start))
      throw TooDeep();
    return true;
  };
  try {
    return Value::parse(text, limit);
  } catch (const TooDeep&) {
    throw Error(concat(where, ": expected JSON of at most ", kDeepestJson, " levels, found deeper"));
  } catch (const typename Value::parse_error& error) {
    throw Error(concat(where, ": expected JSON, found other text at byte ", error.byte));
  } catch (const typename Value::exception&) {  // a number that no type holds
    throw Error(concat(where, ": expected JSON, found a number out of range"));
  }
}

}  // namespace

Json parse_json(std::string_view text, std::string_view where) {
  return parse<Json>(text, where);
}

LargeJson parse_large_json(std::string_view text, std::string_view where) {
  return parse<LargeJson>(text, where);
}

Json read_json_object(const std::filesystem::path& path) {
  Json json = parse_json(read_file(path), path.string());
  if (!json.is_object()) throw Error(concat(path.string(), ": expected a JSON object, found ", brief(json)));
  return json;
}

std::string brief(const Json& value) {
  // Other than dump(), never throws: bytes that are no UTF-8 are replaced.
  std::string text = cut(value).dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  if (text.size() > kShown) text = text.substr(0, kShown) + "...";
  return text;
}

}  // namespace diffreward
