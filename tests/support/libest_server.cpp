#include "tests/support/libest_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/support/loopback.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;

const fs::path libest = DEVID_LIBEST;

std::string content_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw std::runtime_error("cannot read " + file.string());
  return {std::istreambuf_iterator<char>(stream), {}};
}

fs::path write(const fs::path& file, const std::string& content) {
  std::ofstream stream(file, std::ios::binary);
  stream << content;
  if (!stream.flush()) throw std::runtime_error("cannot write " + file.string());
  return file;
}

fs::path collect(const fs::path& file, const std::vector<fs::path>& parts) {
  std::string content;
  for (const auto& part : parts) content += content_of(part);
  return write(file, content);
}

/// Its CA is that of the openssl command, with the configuration of `openssl ca`.
fs::path configure_ca(const fs::path& directory, const TestCredential& issuer) {
  write(directory / "index.txt", "");
  write(directory / "serial", "01\n");
  return write(directory / "ca.cnf",
               fmt::format("[ca]\ndefault_ca=this\n"
                           "[this]\ndatabase={0}/index.txt\nserial={0}/serial\nnew_certs_dir={0}\n"
                           "certificate={1}\nprivate_key={2}\n"
                           "default_md=sha256\ndefault_days=30\nunique_subject=no\npreserve=yes\npolicy=any\n"
                           "copy_extensions=copy\nx509_extensions=extensions\n"
                           "[any]\ncommonName=optional\nserialNumber=optional\norganizationName=optional\n"
                           "[extensions]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                           "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
                           directory.string(), issuer.certificate.string(), issuer.key.string()));
}

std::vector<std::string> environment(const fs::path& directory, const LibestPki& pki, const LibestHabits& habits) {
  std::vector<fs::path> trusted = pki.trusted;
  trusted.insert(trusted.end(), habits.crls.begin(), habits.crls.end());
  std::vector<std::string> variables = {"LD_LIBRARY_PATH=" DEVID_LIBEST_LIBRARIES, "OPENSSL_CONF=/dev/null",
                                        "EST_OPENSSL_CACONFIG=" + configure_ca(directory, pki.issuer).string(),
                                        "EST_CACERTS_RESP=" + collect(directory / "cacerts.pem", pki.cas).string(),
                                        "EST_TRUSTED_CERTS=" + collect(directory / "trusted.pem", trusted).string()};
  if (habits.csr_attributes) variables.push_back("EST_CSR_ATTR=" + *habits.csr_attributes);
  return variables;
}

std::vector<std::string> command_line(std::uint16_t port, const TestCredential& server, const LibestHabits& habits) {
  std::vector<std::string> words = {
      libest / "usr/bin/estserver", "-v", "-p", std::to_string(port), "-c", server.certificate, "-k", server.key, "-r",
      LibestServer::realm};
  if (habits.client == LibestClient::has_certificate_or_password) words.emplace_back("-o");
  if (habits.client == LibestClient::has_certificate) words.emplace_back("-n");
  words.emplace_back(habits.password == LibestPassword::basic ? "-b" : "-h");
  if (habits.approval_after) words.insert(words.end(), {"-m", std::to_string(*habits.approval_after)});
  if (habits.demands_csr_attributes) words.emplace_back("--enforce-csr");
  if (habits.demands_proof_of_possession) words.emplace_back("-t");
  if (!habits.crls.empty()) words.emplace_back("-l");
  return words;
}

}  // namespace

LibestServer::LibestServer(const LibestPki& pki, const LibestHabits& habits, std::uint16_t port)
    : port_(port == 0 ? listen_on_port_pair().port : port),
      process_(command_line(port_, pki.server, habits), environment(directory_.path(), pki, habits),
               directory_.path() / "log") {
  constexpr int tries = 500;
  for (int i = 0; i < tries && process_.runs(); ++i) {
    if (connect_to(port_)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  throw std::runtime_error("estserver does not start: " + log());
}

std::string LibestServer::name() {
  const std::string version = content_of(libest / "version");
  return "libest " + version.substr(0, version.find('+'));
}

std::string LibestServer::log() const { return content_of(directory_.path() / "log"); }

std::vector<std::string> LibestServer::requests() const {
  static const std::regex line(R"re("(\S+) /\.well-known/est/(\S+) HTTP/[0-9.]+" (-?\d+) )re");
  const std::string text = log();
  std::vector<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), line), end; at != end; ++at) {
    const std::string status = (*at)[3];
    found.push_back((*at)[1].str() + " " + (*at)[2].str() + (status == "-1" ? "" : " " + status));
  }
  return found;
}

std::size_t LibestServer::issued() const {
  const std::string database = content_of(directory_.path() / "index.txt");
  return static_cast<std::size_t>(std::ranges::count(database, '\n'));
}

}  // namespace devid::test
