#include <algorithm>
#include <iostream>

#include "dbus/ctl/json.h"
#include "dbus/ctl/table.h"
#include "dbus/ctl/verbs.h"

namespace devid::ctl {
namespace {

void print_text(const Diagnosis& diagnosis) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& evidence : diagnosis.evidence) {
    const std::string token = text(evidence, "token");
    rows.push_back({text(evidence, "verdict"), token.empty() ? "file" : token, text(evidence, "location"),
                    text(evidence, "found"), text(evidence, "why")});
  }
  print_table({"VERDICT", "TOKEN", "LOCATION", "FOUND", "WHY"}, rows);
  if (diagnosis.advice.empty()) return;
  const bool some = std::ranges::any_of(diagnosis.evidence,
                                        [](const auto& evidence) { return text(evidence, "verdict") == "taken"; });
  std::cout << (some ? "\nnot every identity has an IDevID\n" : "\nno IDevID was found\n");
  for (const auto& advice : diagnosis.advice) std::cout << "hint: " << advice << "\n";
}

}  // namespace

Exit doctor(Client& client, Format format) {
  auto diagnosis = client.diagnose();
  if (!diagnosis) return complain(diagnosis.error());
  if (format == Format::json) {
    auto evidence = nlohmann::ordered_json::array();
    for (const auto& one : diagnosis->evidence) evidence.push_back(to_json(one));
    print({{"evidence", std::move(evidence)}, {"advice", diagnosis->advice}});
  } else {
    print_text(*diagnosis);
  }
  return diagnosis->advice.empty() ? Exit::done : Exit::failed;
}

}  // namespace devid::ctl
