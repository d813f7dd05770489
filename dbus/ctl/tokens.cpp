#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "dbus/ctl/json.h"
#include "dbus/ctl/table.h"
#include "dbus/ctl/verbs.h"

namespace devid::ctl {
namespace {

bool is_failed(const wire::Dictionary& token) { return !error_of(token, "error").first.empty(); }

std::string joined(const std::vector<std::string>& list) { return fmt::format("{}", fmt::join(list, " ")); }

/// "Manufacturer Model 1.2", as far as the token says it.
std::string make_of(const wire::Dictionary& token) {
  std::string make;
  for (const char* name : {"manufacturer", "model", "firmware", "serial_number"}) {
    const std::string part = text(token, name);
    if (!part.empty()) make.append(make.empty() ? "" : " ").append(part);
  }
  return make;
}

void print_inspected(const std::vector<wire::Dictionary>& list) {
  std::vector<std::vector<std::string>> rows;
  rows.reserve(list.size());
  for (const auto& token : list) {
    rows.push_back({text(token, "name"), text(token, "kind"), text(token, "location"),
                    is_failed(token) ? "-" : make_of(token), joined(texts(token, "algorithms")),
                    token.contains("free_key_slots") ? std::to_string(number(token, "free_key_slots")) : "-"});
  }
  print_table({"TOKEN", "KIND", "LOCATION", "MAKE", "MAKES KEYS", "FREE SLOTS"}, rows);
  for (const auto& token : list) {
    if (is_failed(token)) std::cout << "\n" << text(token, "name") << ": " << error_of(token, "error").second << "\n";
    for (const auto& remark : texts(token, "remarks"))
      std::cout << "\n" << text(token, "name") << ": " << remark << "\n";
  }
}

void print_listed(const std::vector<wire::Dictionary>& list) {
  std::vector<std::vector<std::string>> rows;
  rows.reserve(list.size());
  for (const auto& token : list) rows.push_back({text(token, "name"), text(token, "kind"), text(token, "location")});
  print_table({"TOKEN", "KIND", "LOCATION"}, rows);
}

}  // namespace

Exit tokens(Client& client, Format format) {
  auto list = client.inspect_tokens();
  // Asking the hardware is for root; what is configured is for everybody.
  const bool listed = !list && list.error().code == Errc::not_authorized;
  if (listed) list = client.tokens();
  if (!list) return complain(list.error());
  if (format == Format::json) {
    auto array = nlohmann::ordered_json::array();
    for (const auto& token : *list) array.push_back(to_json(token));
    print({{"tokens", std::move(array)}});
  } else if (listed) {
    print_listed(*list);
    std::cerr << "hint: run it as root to see what they can do\n";
  } else {
    print_inspected(*list);
  }
  return std::ranges::any_of(*list, is_failed) ? Exit::failed : Exit::done;
}

}  // namespace devid::ctl
