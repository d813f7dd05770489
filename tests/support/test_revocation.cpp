#include "tests/support/test_revocation.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "tests/support/command.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Runs openssl without the system's configuration.
std::string openssl(std::vector<std::string> arguments, const std::string& input = {}) {
  arguments.insert(arguments.begin(), "openssl");
  return output_of({.argv = std::move(arguments), .input = input, .environment = {"OPENSSL_CONF=/dev/null"}});
}

/// As ASN.1 writes it: "20261231235959Z".
std::string asn1_time(Time time) {
  return fmt::format("{:%Y%m%d%H%M%S}Z", fmt::gmtime(time.time_since_epoch().count()));
}

}  // namespace

TestRevocation::TestRevocation(const TestPki& pki, const std::string& ca) : ca_(pki.ca(ca)) {
  write_text(directory_.path() / "index.txt", "");
  write_text(directory_.path() / "index.txt.attr", "unique_subject=no\n");
}

void TestRevocation::update(const std::vector<std::string>& arguments) const {
  const fs::path conf = directory_.path() / "update.cnf";
  write_text(conf, fmt::format("[ca]\ndefault_ca=this\n[this]\ndatabase={}/index.txt\ndefault_md=sha256\n",
                               directory_.path().string()));
  std::vector<std::string> all = {"ca", "-config", conf, "-cert", ca_.certificate, "-keyfile", ca_.key};
  all.insert(all.end(), arguments.begin(), arguments.end());
  openssl(all);
}

void TestRevocation::know(const TestCredential& certificate) { update({"-valid", certificate.certificate}); }

void TestRevocation::revoke(const TestCredential& certificate, const std::string& reason) {
  std::vector<std::string> arguments = {"-revoke", certificate.certificate};
  if (!reason.empty()) arguments.insert(arguments.end(), {"-crl_reason", reason});
  update(arguments);
}

void TestRevocation::revoke_many(std::size_t count) {
  constexpr std::size_t first = 0x1000000;
  std::ofstream index(directory_.path() / "index.txt", std::ios::app);
  for (std::size_t i = 0; i < count; ++i)
    index << fmt::format("R\t400101000000Z\t260101000000Z\t{:08X}\tunknown\t/CN=device\n", first + i);
  if (!index.flush()) throw std::runtime_error("cannot write the index");
}

std::string TestRevocation::crl_pem(const CrlSpec& spec) const {
  const Time now = SystemClock().now();
  const fs::path conf = directory_.path() / "crl.cnf";
  std::string lines;
  for (const std::string& line : spec.extensions) lines += line + "\n";
  write_text(conf, fmt::format("[ca]\ndefault_ca=this\n[this]\ndatabase={}/index.txt\n{}[extensions]\n{}",
                               directory_.path().string(), lines.empty() ? "" : "crl_extensions=extensions\n", lines));
  return openssl({"ca", "-gencrl", "-config", conf, "-md", spec.digest, "-crl_lastupdate",
                  asn1_time(spec.this_update.value_or(now)), "-crl_nextupdate",
                  asn1_time(spec.next_update.value_or(now + std::chrono::hours(24))), "-cert", ca_.certificate,
                  "-keyfile", spec.key.empty() ? ca_.key.string() : spec.key});
}

std::string TestRevocation::crl(const CrlSpec& spec) const {
  return openssl({"crl", "-outform", "DER"}, crl_pem(spec));
}

std::string TestRevocation::ocsp(const std::string& request, const OcspSpec& spec) const {
  const TemporaryDirectory place;
  const TestCredential& signer = spec.signer.certificate.empty() ? ca_ : spec.signer;
  write_text(place.path() / "request", request);
  std::vector<std::string> arguments = {"ocsp",
                                        "-index",
                                        directory_.path() / "index.txt",
                                        "-CA",
                                        ca_.certificate,
                                        "-rsigner",
                                        signer.certificate,
                                        "-rkey",
                                        signer.key,
                                        "-reqin",
                                        place.path() / "request",
                                        "-respout",
                                        place.path() / "response"};
  arguments.insert(arguments.end(), spec.more.begin(), spec.more.end());
  openssl(arguments);
  return read_text(place.path() / "response");
}

std::string TestRevocation::ocsp_request(const TestCredential& certificate,
                                         const std::vector<std::string>& options) const {
  const TemporaryDirectory place;
  std::vector<std::string> arguments = {"ocsp"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  arguments.insert(arguments.end(),
                   {"-issuer", ca_.certificate, "-cert", certificate.certificate, "-reqout", place.path() / "request"});
  openssl(arguments);
  return read_text(place.path() / "request");
}

}  // namespace devid::test
