#include "agent/est/first_contact.h"

#include "agent/est/certificates_answer.h"
#include "agent/est/connection.h"
#include "agent/est/refusal.h"

namespace devid::est {
namespace {

Result<std::vector<pki::Certificate>> fetch(FirstContact contact, const std::string& url) {
  if (auto good = check(contact.tls); !good) return fail(std::move(good.error()));
  if (contact.proxy)
    if (auto good = check(*contact.proxy); !good) return fail(std::move(good.error()));
  auto connection = Connection::prepare({.tls = {.host = std::move(contact.endpoint.host),
                                                 .anchors = {},
                                                 .trust = TlsSpec::Trust::nobody,
                                                 .client = {},
                                                 .options = std::move(contact.tls),
                                                 .check_server = {}},
                                         .authentication = {},
                                         .proxy = std::move(contact.proxy),
                                         .binding = {},
                                         .limits = contact.limits,
                                         .cancelled = std::move(contact.cancelled),
                                         .meter = contact.meter});
  if (!connection) return fail(std::move(connection.error()));
  const auto answer = (*connection)->ask({.url = url, .accept = std::string(certs_only_type), .content = {}});
  if (!answer) return fail(answer.error());
  if (answer->status != 200) return fail(refusal(*answer));
  return read_ca_certificates(*answer);
}

}  // namespace

Result<std::vector<pki::Certificate>> fetch_unverified(FirstContact contact) {
  const std::string url = contact.endpoint.base + "/cacerts";
  auto certificates = fetch(std::move(contact), url);
  if (!certificates) return fail(while_doing("get " + url, std::move(certificates.error())));
  return certificates;
}

}  // namespace devid::est
