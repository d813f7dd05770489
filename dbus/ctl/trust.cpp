#include <algorithm>
#include <ctime>
#include <iostream>

#include "dbus/ctl/json.h"
#include "dbus/ctl/table.h"
#include "dbus/ctl/verbs.h"

namespace devid::ctl {
namespace {

void print_text(const std::vector<wire::Dictionary>& anchors, const std::string& name) {
  std::cout << text(anchors.front(), "server")
            << " has shown these CAs. It could not be verified: anybody may have.\n\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& anchor : anchors) {
    const std::string issuer = text(anchor, "issuer");
    rows.push_back({text(anchor, "subject"), issuer == text(anchor, "subject") ? "itself" : issuer,
                    moment(number(anchor, "not_after")), text(anchor, "fingerprint")});
  }
  print_table({"CA", "ISSUED BY", "EXPIRES", "SHA-256 FINGERPRINT"}, rows);
  std::cout << "\nhint: ask whoever runs the CA for its fingerprint; if it is one of these: devidctl trust " << name
            << " --fingerprint HEX\n";
}

Exit show_offered(Client& client, const std::string& name, Format format) {
  const auto identity = client.identity(name);
  if (!identity) return complain(identity.error());
  const auto anchors = dictionaries(*identity, "PendingTrust");
  if (format == Format::json) {
    auto array = nlohmann::ordered_json::array();
    for (const auto& anchor : anchors) array.push_back(to_json(anchor));
    print({{"offered", std::move(array)}});
  } else if (anchors.empty()) {
    std::cout << "nothing is offered to be trusted: identity " << name
              << " has met no server that it could not verify\n";
  } else {
    print_text(anchors, name);
  }
  return anchors.empty() ? Exit::failed : Exit::done;
}

/// What brings the identity forward: a failure may have put the next attempt off.
void print_next(Client& client, const std::string& name) {
  const auto identity = client.identity(name);
  const std::uint64_t next = identity ? number(*identity, "NextAttempt") : 0;
  if (next > static_cast<std::uint64_t>(std::max<std::time_t>(std::time(nullptr), 0))) {
    std::cout << "hint: the next attempt is due " << moment(next) << "; now, if you like: devidctl "
              << (number(*identity, "Generation") == 0 ? "enroll " : "renew ") << name << "\n";
  } else {
    std::cout << "hint: devidctl run-due\n";
  }
}

Exit accept(Client& client, const std::string& name, const std::string& fingerprint, Format format) {
  const auto anchor = client.trust(name, fingerprint);
  if (!anchor) return complain(anchor.error());
  if (format == Format::json) {
    print({{"trusted", to_json(*anchor)}});
    return Exit::done;
  }
  std::cout << "identity " << name << " trusts " << text(*anchor, "subject") << " from now on, for "
            << text(*anchor, "server") << "\n  SHA-256 " << text(*anchor, "fingerprint") << "\n";
  print_next(client, name);
  return Exit::done;
}

}  // namespace

Exit trust(Client& client, const std::string& name, const std::string& fingerprint, Format format) {
  return fingerprint.empty() ? show_offered(client, name, format) : accept(client, name, fingerprint, format);
}

}  // namespace devid::ctl
