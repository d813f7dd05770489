#include <iostream>

#include "agent/pki/certificate.h"
#include "dbus/ctl/json.h"
#include "dbus/ctl/verbs.h"

namespace devid::ctl {

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
            << certificates->front().describe() << "\nkey: " << text(*identity, "KeyAlgorithm") << " in "
            << text(*identity, "KeyProtection") << ", " << text(*identity, "KeyUri")
            << "\ncertificate file: " << text(*identity, "CertificateFile")
            << "\nchain file: " << text(*identity, "ChainFile")
            << "\ntrust anchors file: " << text(*identity, "TrustAnchorsFile")
            << "\nnext attempt: " << moment(number(*identity, "NextAttempt")) << "\n";
  return Exit::done;
}

}  // namespace devid::ctl
