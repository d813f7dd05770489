#include "dbus/ctl/json.h"
#include "dbus/ctl/table.h"
#include "dbus/ctl/verbs.h"

namespace devid::ctl {

Exit tokens(Client& client, Format format) {
  auto list = client.tokens();
  if (!list) return complain(list.error());
  if (format == Format::json) {
    auto array = nlohmann::ordered_json::array();
    for (const auto& token : *list) array.push_back(to_json(token));
    print({{"tokens", std::move(array)}});
    return Exit::done;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& token : *list) rows.push_back({text(token, "name"), text(token, "kind"), text(token, "location")});
  print_table({"TOKEN", "KIND", "LOCATION"}, rows);
  return Exit::done;
}

}  // namespace devid::ctl
