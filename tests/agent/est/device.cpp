#include "tests/agent/est/device.h"

namespace devid::est::test {
namespace {

pki::Certificate manufacture(Key& key, const std::string& manufacturer) {
  const auto& spki = key.signing_key().public_key().spki;
  const auto issued = Cas::instance().pki.issue({
      .issuer = manufacturer,
      .subject = "/O=Maker/CN=IDevID/serialNumber=17",
      .public_key = devid::test::public_key_pem(std::string(as_text(spki))),
  });
  return certificates(issued.certificate_pem).front();
}

}  // namespace

Cas::Cas() {
  pki.make_ca("manufacturer");
  pki.make_ca("stranger");
  pki.make_ca("operator");
  pki.make_ca("issuing", "operator");
  server = pki.issue_server("operator");
}

Cas& Cas::instance() {
  static Cas cas;
  return cas;
}

std::vector<pki::Certificate> certificates(const std::string& pem) {
  return need(pki::read_certificates(as_bytes(pem)));
}

Key::Key(KeyAlgorithm algorithm) : token_(hardware) {
  hardware.put_key("fake:key", algorithm);
  key_ = need(token_.open_key_at("fake:key"));
  wrapped_ = need(SigningKey::wrap(*key_));
}

Device::Device(KeyAlgorithm algorithm, const std::string& manufacturer)
    : key(algorithm), certificate(manufacture(key, manufacturer)) {}

ClientCredential Device::credential() { return {.certificate = certificate, .chain = {}, .key = &key.signing_key()}; }

namespace {

Result<Bytes> make_request(SigningKey& key, const std::optional<std::string>& binding) {
  return pki::make_csr(
      key, {.names = {.subject = {{.type = "O", .value = "Example"}, {.type = "CN", .value = "gateway"}},
                      .alternatives = {{.kind = pki::AlternativeName::Kind::dns, .value = "gateway.example"}}},
            .challenge_password = binding});
}

}  // namespace

Bytes request_of(SigningKey& key) { return need(make_request(key, {})); }

CsrSource Requests::source() {
  constexpr std::size_t enough = 2000;
  return {.most_bytes = enough, .make = [this](const auto& binding) {
            bindings.push_back(binding);
            return make_request(*key_, binding);
          }};
}

Secret secret(std::string_view text) { return Secret(as_bytes(text)); }

devid::test::EstServerSpec server_spec() {
  const auto& cas = Cas::instance();
  return {.certificate = cas.server.full_chain,
          .key = cas.server.key,
          .manufacturer_ca = cas.pki.ca("manufacturer").certificate,
          .issuer = {.certificate = cas.pki.ca("issuing").certificate, .key = cas.pki.ca("issuing").key},
          .issuer_chain = cas.pki.ca("operator").certificate};
}

SessionSpec session_spec(const devid::test::EstServer& server, Device& device, const std::string& path) {
  return {.endpoint = need(Endpoint::parse(server.url() + path)),
          .anchors = certificates(Cas::instance().pki.ca("operator").certificate_pem),
          .client = device.credential(),
          .authentication = {},
          .proxy = {},
          .tls = {},
          .binding = {},
          .check_server = {},
          .limits = {.connect_timeout = Seconds(10), .request_timeout = Seconds(20)},
          .cancelled = {}};
}

}  // namespace devid::est::test
