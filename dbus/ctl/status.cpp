#include <algorithm>
#include <iostream>

#include "dbus/ctl/json.h"
#include "dbus/ctl/table.h"
#include "dbus/ctl/verbs.h"

namespace devid::ctl {
namespace {

bool has_credential_in_order(const Properties& identity) {
  const std::string state = text(identity, "State");
  return state == "valid" || state == "renewing";
}

/// The units that could not be told of the current generation, so that they may still use the one before.
std::vector<wire::Dictionary> untold(const Properties& identity) {
  auto consumers = dictionaries(identity, "Consumers");
  std::erase_if(consumers, [](const auto& consumer) { return text(consumer, "state") != "failed"; });
  return consumers;
}

bool is_healthy(const Properties& identity) { return has_credential_in_order(identity) && untold(identity).empty(); }

void print_remarks(const Properties& identity) {
  for (const auto& consumer : untold(identity))
    std::cout << "\n"
              << text(identity, "Name") << ": " << text(consumer, "message") << "\n  tried again "
              << moment(number(consumer, "next_attempt")) << "\n";
  if (has_credential_in_order(identity)) return;
  std::cout << "\n" << text(identity, "Name") << ": " << text(identity, "Reason") << "\n";
  if (const auto error = error_of(identity, "LastError"); !error.first.empty())
    std::cout << "  last error: " << error.second << " [" << error.first << "]\n";
}

void print_all(const std::vector<Properties>& identities) {
  if (identities.empty()) {
    std::cout << "no identity is configured\nhint: describe one in /etc/devid/identities.d/NAME.toml (devid.toml(5)), "
                 "then: devidctl reload\n";
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& identity : identities) {
    const auto generation = number(identity, "Generation");
    rows.push_back({text(identity, "Name"), text(identity, "State"), generation == 0 ? "-" : std::to_string(generation),
                    text(identity, "Subject"), generation == 0 ? "-" : moment(number(identity, "NotAfter")),
                    moment(number(identity, "NextAttempt"))});
  }
  print_table({"IDENTITY", "STATE", "GENERATION", "SUBJECT", "EXPIRES", "NEXT ATTEMPT"}, rows);
  for (const auto& identity : identities) print_remarks(identity);
}

}  // namespace

Exit status(Client& client, const std::string& name, Format format) {
  std::vector<Properties> identities;
  if (name.empty()) {
    auto all = client.identities();
    if (!all) return complain(all.error());
    identities = *std::move(all);
  } else {
    auto one = client.identity(name);
    if (!one) return complain(one.error());
    identities.push_back(*std::move(one));
  }
  if (format == Format::json) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& identity : identities) list.push_back(to_json(identity));
    print({{"identities", std::move(list)}});
  } else {
    print_all(identities);
  }
  return std::ranges::all_of(identities, is_healthy) ? Exit::done : Exit::failed;
}

Exit explain(Client& client, const std::string& name, Format format) {
  const auto identity = client.identity(name);
  if (!identity) return complain(identity.error());
  const auto sentences = client.explain(name);
  if (!sentences) return complain(sentences.error());
  if (format == Format::json) {
    print({{"name", name}, {"state", text(*identity, "State")}, {"explanation", *sentences}});
  } else {
    for (const std::string& sentence : *sentences) std::cout << sentence << "\n";
  }
  return is_healthy(*identity) ? Exit::done : Exit::failed;
}

}  // namespace devid::ctl
