#include <iomanip>
#include <iostream>

#include "agent/pki/certificate.h"
#include "dbus/ctl/json.h"
#include "dbus/ctl/verbs.h"

namespace devid::ctl {
namespace {

/// A line in the form of pki::Certificate::describe().
void print_line(const std::string& heading, const std::string& value) {
  std::cout << std::left << std::setw(16) << heading << value << '\n';
}

}  // namespace

Exit show(Client& client, const std::string& name, Format format) {
  auto identity = client.identity(name);
  if (!identity) return complain(identity.error());
  auto credential = client.credential(name);
  if (!credential) return complain(credential.error());
  if (format == Format::json) {
    auto json = to_json(*identity);
    json["credential"] = to_json(*credential);
    print(json);
    return Exit::done;
  }
  const std::string pem = text(*credential, "certificate");
  auto certificates = pki::read_certificates(as_bytes(pem));
  if (!certificates) return complain(certificates.error());
  std::cout << "identity " << name << ", generation " << number(*credential, "generation") << " ("
            << text(*identity, "State") << ")\n"
            << certificates->front().describe();
  print_line("Key kept in:", text(*identity, "KeyProtection") + ", " + text(*identity, "KeyUri"));
  print_line("Certificate:", text(*identity, "CertificateFile"));
  print_line("With its chain:", text(*identity, "ChainFile"));
  print_line("Trust anchors:", text(*identity, "TrustAnchorsFile"));
  for (const auto& consumer : dictionaries(*identity, "Consumers"))
    print_line("After rotation:", text(consumer, "action") + ": " + text(consumer, "state"));
  print_line("Next attempt:", moment(number(*identity, "NextAttempt")));
  return Exit::done;
}

}  // namespace devid::ctl
