#include "tests/agent/identity/site.h"

#include <fmt/format.h>

#include <fstream>

#include "agent/identity/credential.h"
#include "agent/identity/next_step.h"
#include "base/file.h"
#include "tests/support/command.h"

namespace devid::test {

namespace fs = std::filesystem;

Authorities& Authorities::get() {
  static Authorities all;
  return all;
}

Authorities::Authorities()
    : manufacturer(pki.make_ca("manufacturer")),
      operator_ca(pki.make_ca("operator")),
      other_ca(pki.make_ca("other")),
      server(pki.issue_server("operator")) {}

Site::Site() {
  auto& authorities = Authorities::get();
  const PublicKey key = hardware_.put_key("handle:0x81020000", KeyAlgorithm::ec_p256);
  const auto idevid = authorities.pki.issue({.issuer = "manufacturer",
                                             .subject = "/O=Maker/serialNumber=SN-17",
                                             .public_key = public_key_pem(std::string(as_text(key.spki)))});
  hardware_.put_certificate("nv:0x01c90200", to_bytes(as_bytes(idevid.certificate_pem)));
  start_server();
  write_profile();
  load();
}

void Site::start_server(Seconds lifetime, std::vector<KeygenRecipient> recipients) {
  const auto& authorities = Authorities::get();
  server_.reset();
  server_ = std::make_unique<EstServer>(EstServerSpec{.certificate = authorities.server.full_chain,
                                                      .key = authorities.server.key,
                                                      .manufacturer_ca = authorities.manufacturer.certificate,
                                                      .issuer = {.certificate = authorities.operator_ca.certificate,
                                                                 .key = authorities.operator_ca.key,
                                                                 .not_after = lifetime},
                                                      .keygen_recipients = std::move(recipients)});
}

void Site::write_profile(const std::string& more, const std::string& name) {
  write_file(
      etc() / "identities.d" / (name + ".toml"),
      fmt::format(R"([server]
url = "{}"
trust_anchors = "{}"
connect_timeout = "1s"
timeout = "1s"
{}{}
)",
                  server_->url("localhost"), Authorities::get().operator_ca.certificate.string(), idevid_, more));
}

void Site::prove_nothing() {
  write_profile("[renewal]\nprove = false\n");
  load();
}

void Site::write_file(const fs::path& file, const std::string& text) const {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

std::unique_ptr<Agent> Site::load_from(const fs::path& state) {
  auto agent = Agent::load(
      {.configuration = etc(), .vendor_configuration = directory_.path() / "usr", .state = state},
      [this](const Configuration& configuration) {
        Tokens tokens;
        tokens.emplace("tpm", std::make_unique<FakeToken>(hardware_, "tpm"));
        for (const auto& token : configuration.pkcs11)
          tokens.emplace(token.name, std::make_unique<FakeToken>(hsm_, token.name, "pkcs11"));
        return tokens;
      },
      clock_);
  EXPECT_TRUE(agent) << agent.error().sentence();
  return agent ? std::move(*agent) : nullptr;
}

void Site::load() {
  agent_.reset();
  agent_ = load_from(state());
}

Result<JobResult> Site::run(JobKind kind, JobOptions options) {
  observer_.phases.clear();
  return agent_->run("gateway", kind, options, observer_);
}

void Site::enroll() {
  const auto result = run(JobKind::enroll);
  ASSERT_TRUE(result) << result.error().sentence();
  ASSERT_EQ(*result, JobResult::done);
}

void Site::renew() {
  const auto result = run(JobKind::renew);
  ASSERT_TRUE(result) << result.error().sentence();
  ASSERT_EQ(*result, JobResult::done);
}

identity::Status Site::status(const std::string& name) const {
  for (auto& status : agent_->status())
    if (status.name == name) return status;
  ADD_FAILURE() << "no identity " << name;
  return {};
}

JobKind Site::kind_that_helps() const {
  const auto outlook = status().outlook.value();
  return identity::kind_of(identity::step_forward(outlook.situation, outlook.profile, clock_.now()));
}

std::map<std::string, std::string> Site::current_files() const {
  std::map<std::string, std::string> files;
  std::error_code nothing;
  for (const auto& entry : fs::directory_iterator(directory() / "current", nothing))
    files[entry.path().filename()] = read_file(entry.path(), 1U << 20U).value_or("unreadable");
  return files;
}

void Site::drop_request() {
  if (!has_request()) return;
  agent_.reset();
  FakeToken token(hardware_, "tpm");
  for (const char* name : {"request", "candidate"}) {
    if (!fs::exists(directory() / name)) continue;
    ASSERT_TRUE(token.destroy_key(read_file(directory() / name / "token-key.pem", 10000).value_or("")));
    fs::remove_all(directory() / name);
  }
  load();
}

std::vector<std::string> Site::posted() const {
  std::vector<std::string> bodies;
  for (const auto& request : server_->requests())
    if (request.method == "POST") bodies.push_back(request.body);
  return bodies;
}

std::vector<std::string> Site::noticed() const {
  std::vector<std::string> sentences;
  for (const auto& notice : observer_.notices) sentences.push_back(notice.sentence);
  return sentences;
}

void Site::expect_usable_current() const {
  const auto files = current_files();
  const auto leaf = pki::read_certificates(as_bytes(files.at("certificate.pem")));
  ASSERT_TRUE(leaf);
  FakeToken token(const_cast<FakeHardware&>(hardware_), "tpm");  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  const auto proven = identity::prove_possession(token, files.at("token-key.pem"), leaf->front());
  EXPECT_TRUE(proven) << proven.error().sentence();
  const auto current = directory() / "current";
  const auto verified = test::run({.argv = {"openssl", "verify", "-CAfile", current / "trust-anchors.pem", "-untrusted",
                                            current / "certificate-chain.pem", current / "certificate.pem"}});
  EXPECT_TRUE(verified.ok()) << verified.output << verified.errors;
}

}  // namespace devid::test
