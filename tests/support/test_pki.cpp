#include "tests/support/test_pki.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "tests/support/asn1_text.h"
#include "tests/support/command.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
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

std::string extensions(const CertificateSpec& spec) {
  std::string lines;
  if (!spec.basic_constraints.empty()) lines += "basicConstraints=" + spec.basic_constraints + "\n";
  if (!spec.key_usage.empty()) lines += "keyUsage=" + spec.key_usage + "\n";
  if (!spec.extended_key_usage.empty()) lines += "extendedKeyUsage=" + spec.extended_key_usage + "\n";
  for (const std::string& line : spec.more_extensions) lines += line + "\n";
  if (!spec.alternative_names.empty()) lines += "subjectAltName=@names\n";
  lines += "subjectKeyIdentifier=hash\n";
  if (!spec.issuer.empty()) lines += "authorityKeyIdentifier=keyid\n";
  if (spec.alternative_names.empty()) return lines;
  lines += "[names]\n";
  for (std::size_t i = 0; i < spec.alternative_names.size(); ++i) {
    const std::string& name = spec.alternative_names[i];
    const auto colon = name.find(':');
    lines += fmt::format("{}.{}={}\n", name.substr(0, colon), i, name.substr(colon + 1));
  }
  return lines;
}

/// The configuration of `openssl req` and `openssl ca` for one certificate.
std::string configuration(const fs::path& place, const CertificateSpec& spec) {
  return fmt::format(
      "[req]\ndistinguished_name=dn\nprompt=no\nstring_mask={1}\n[dn]\n"
      "[ca]\ndefault_ca=this\n"
      "[this]\ndatabase={0}/index.txt\nnew_certs_dir={0}\nrand_serial=yes\nunique_subject=no\npolicy=any\n"
      "email_in_dn=yes\nx509_extensions=extensions\n"
      "[any]\ncommonName=optional\n"
      "[extensions]\n{2}",
      place.string(), spec.string_mask, extensions(spec));
}

}  // namespace

void make_key(const fs::path& file, TestKey key) {
  const auto ec = [&](const char* curve) {
    openssl({"genpkey", "-algorithm", "EC", "-pkeyopt", std::string("ec_paramgen_curve:") + curve, "-out", file});
  };
  const auto rsa = [&](const char* bits) {
    openssl({"genpkey", "-algorithm", "RSA", "-pkeyopt", std::string("rsa_keygen_bits:") + bits, "-out", file});
  };
  switch (key) {
    case TestKey::ec_p256: return ec("P-256");
    case TestKey::ec_p384: return ec("P-384");
    case TestKey::rsa_1024: return rsa("1024");
    case TestKey::rsa_2048: return rsa("2048");
    case TestKey::rsa_3072: return rsa("3072");
  }
}

std::string pem_to_der(const std::string& pem) {
  const auto first = pem.find('\n');
  const auto last = pem.find("-----END");
  return openssl({"base64", "-d"}, pem.substr(first + 1, last - first - 1));
}

std::string public_key_pem(const std::string& spki_der) {
  return openssl({"pkey", "-pubin", "-inform", "DER", "-outform", "PEM"}, spki_der);
}

std::string certs_only_of_many(const std::string& certificate_pem, unsigned count) {
  constexpr std::string_view oid("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07", 10);  // of PKCS#7, without the last arc
  const std::string none("\x31\x00", 2);
  std::string certificate = pem_to_der(certificate_pem);
  std::string all;
  for (unsigned i = 0; i < count; ++i) {
    certificate[certificate.size() - 2] = static_cast<char>(i / 256);
    certificate[certificate.size() - 1] = static_cast<char>(i % 256);
    all += certificate;
  }
  const std::string signed_data = wrap_der(
      '\x30', "\x02\x01\x01" + none + wrap_der('\x30', std::string(oid) + '\x01') + wrap_der('\xa0', all) + none);
  return wrap_der('\x30', std::string(oid) + '\x02' + wrap_der('\xa0', signed_data));
}

std::string public_key_of_certificate(const std::string& certificate_pem) {
  return openssl({"x509", "-noout", "-pubkey"}, certificate_pem);
}

TestPki::TestPki() = default;

fs::path TestPki::new_directory(const std::string& prefix) {
  fs::path place = directory_.path() / fmt::format("{}-{}", prefix, ++made_);
  fs::create_directory(place);
  write_text(place / "index.txt", "");
  return place;
}

const TestCredential& TestPki::ca(const std::string& name) const {
  for (const Ca& each : cas_)
    if (each.name == name) return each.credential;
  throw std::runtime_error("no test CA has the name " + name);
}

bool TestPki::is_root(const std::string& name) const {
  return std::ranges::any_of(cas_, [&](const Ca& each) { return each.name == name && each.is_root; });
}

CertificateSpec TestPki::ca_spec(const std::string& name, const std::string& issuer) {
  return {.issuer = issuer,
          .subject = "/CN=" + name,
          .basic_constraints = "critical,CA:TRUE",
          .key_usage = "critical,keyCertSign,cRLSign",
          .extended_key_usage = ""};
}

TestCredential TestPki::make_ca(const std::string& name, const std::string& issuer) {
  return make_ca(name, ca_spec(name, issuer));
}

TestCredential TestPki::make_ca(const std::string& name, const CertificateSpec& spec) {
  cas_.push_back({.name = name, .is_root = spec.issuer.empty(), .credential = issue(spec)});
  return cas_.back().credential;
}

TestCredential TestPki::issue(const CertificateSpec& spec) {
  const fs::path place = new_directory(spec.issuer.empty() ? "root" : "below-" + spec.issuer);
  const fs::path conf = place / "openssl.cnf";
  write_text(conf, configuration(place, spec));
  make_key(place / "key.pem", spec.key);
  openssl({"req", "-new", "-utf8", "-config", conf, "-key", place / "key.pem", "-subj", spec.subject, "-out",
           place / "request.pem"});
  return sign(place, spec);
}

TestCredential TestPki::issue_server(const std::string& issuer, const std::string& address) {
  return issue({.issuer = issuer,
                .subject = "/CN=localhost",
                .alternative_names = {"DNS:localhost", "IP:" + address, "IP:::1"},
                .extended_key_usage = "serverAuth"});
}

TestCredential TestPki::sign_request(const std::string& csr_pem, const CertificateSpec& spec) {
  const fs::path place = new_directory("below-" + spec.issuer);
  write_text(place / "openssl.cnf", configuration(place, spec));
  write_text(place / "request.pem", csr_pem);
  return sign(place, spec);
}

TestCredential TestPki::sign(const fs::path& place, const CertificateSpec& spec) {
  if (!spec.public_key.empty()) return sign_public_key(place, spec);
  const Time now = SystemClock().now();
  std::vector<std::string> arguments = {"ca",
                                        "-batch",
                                        "-notext",
                                        "-utf8",
                                        "-preserveDN",
                                        "-config",
                                        place / "openssl.cnf",
                                        "-md",
                                        spec.digest,
                                        "-startdate",
                                        asn1_time(spec.not_before.value_or(now - std::chrono::hours(1))),
                                        "-enddate",
                                        asn1_time(spec.not_after.value_or(now + std::chrono::hours(24 * 3650))),
                                        "-in",
                                        place / "request.pem",
                                        "-out",
                                        place / "certificate.pem"};
  if (spec.issuer.empty()) {
    arguments.insert(arguments.end(), {"-selfsign", "-keyfile", place / "key.pem"});
  } else {
    arguments.insert(arguments.end(), {"-cert", ca(spec.issuer).certificate, "-keyfile", ca(spec.issuer).key});
  }
  openssl(arguments);
  return read(place, spec);
}

/// `openssl ca` wants a request that is signed with its key; `openssl x509` can put another key in, but cannot choose
/// dates freely.
TestCredential TestPki::sign_public_key(const fs::path& place, const CertificateSpec& spec) {
  if (spec.not_before) throw std::runtime_error("a certificate for a given public key begins now");
  const auto lifetime = spec.not_after ? *spec.not_after - SystemClock().now() : std::chrono::hours(24 * 3650);
  write_text(place / "public-key.pem", spec.public_key);
  write_text(place / "extensions.cnf", "[extensions]\n" + extensions(spec));
  fs::remove(place / "key.pem");
  openssl({"x509",
           "-req",
           "-in",
           place / "request.pem",
           "-force_pubkey",
           place / "public-key.pem",
           "-days",
           std::to_string(std::chrono::floor<std::chrono::days>(lifetime).count()),
           "-extfile",
           place / "extensions.cnf",
           "-extensions",
           "extensions",
           "-CA",
           ca(spec.issuer).certificate,
           "-CAkey",
           ca(spec.issuer).key,
           "-CAserial",
           place / "serial",
           "-CAcreateserial",
           "-" + spec.digest,
           "-out",
           place / "certificate.pem"});
  return read(place, spec);
}

TestCredential TestPki::read(const fs::path& place, const CertificateSpec& spec) const {
  TestCredential credential{.certificate = place / "certificate.pem",
                            .key = fs::exists(place / "key.pem") ? place / "key.pem" : fs::path{},
                            .chain = place / "chain.pem",
                            .full_chain = place / "full-chain.pem",
                            .certificate_pem = read_text(place / "certificate.pem"),
                            .chain_pem = {}};
  if (!spec.issuer.empty()) {
    const TestCredential& issuer = ca(spec.issuer);
    if (!is_root(spec.issuer)) credential.chain_pem = issuer.certificate_pem + issuer.chain_pem;
  }
  write_text(credential.chain, credential.chain_pem);
  write_text(credential.full_chain, credential.certificate_pem + credential.chain_pem);
  return credential;
}

std::string TestPki::certs_only(const std::vector<std::string>& certificate_pems) const {
  std::string all;
  for (const std::string& pem : certificate_pems) all += pem;
  return openssl({"crl2pkcs7", "-nocrl", "-certfile", "/dev/stdin", "-outform", "DER"}, all);
}

}  // namespace devid::test
