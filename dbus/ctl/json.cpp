#include "dbus/ctl/json.h"

#include <cctype>
#include <iostream>

namespace devid::ctl {
namespace {

using Json = nlohmann::ordered_json;
using Pair = sdbus::Struct<std::string, std::string>;

Json value_of(const sdbus::Variant& value) {
  if (value.containsValueOfType<std::string>()) return value.get<std::string>();
  if (value.containsValueOfType<std::uint64_t>()) return value.get<std::uint64_t>();
  if (value.containsValueOfType<std::uint32_t>()) return value.get<std::uint32_t>();
  if (value.containsValueOfType<bool>()) return value.get<bool>();
  if (value.containsValueOfType<sdbus::ObjectPath>()) return std::string(value.get<sdbus::ObjectPath>());
  if (value.containsValueOfType<std::vector<std::string>>()) return value.get<std::vector<std::string>>();
  if (value.containsValueOfType<std::vector<Properties>>()) {
    Json array = Json::array();
    for (const auto& each : value.get<std::vector<Properties>>()) array.push_back(to_json(each));
    return array;
  }
  if (value.containsValueOfType<Pair>()) {
    const auto pair = value.get<Pair>();
    if (pair.get<0>().empty()) return nullptr;
    return {{"code", pair.get<0>()}, {"text", pair.get<1>()}};
  }
  return nullptr;
}

}  // namespace

std::string snake_case(const std::string& name) {
  std::string result;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isupper(byte) != 0 && !result.empty()) result += '_';
    result += static_cast<char>(std::tolower(byte));
  }
  return result;
}

Json to_json(const Properties& properties) {
  Json object = Json::object();
  if (const auto name = properties.find("Name"); name != properties.end()) object["name"] = value_of(name->second);
  if (const auto state = properties.find("State"); state != properties.end()) object["state"] = value_of(state->second);
  for (const auto& [name, value] : properties) object[snake_case(name)] = value_of(value);
  return object;
}

void print(const Json& json) {
  std::cout << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

}  // namespace devid::ctl
