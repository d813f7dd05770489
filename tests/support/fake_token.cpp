#include "tests/support/fake_token.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <span>
#include <utility>

#include "tokens/outside_key.h"
#include "tokens/public_key.h"

namespace devid::test {
namespace {

using PkeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

constexpr const char* pem_label = "FAKE TOKEN KEY";
constexpr std::size_t largest_pem = 4096;

Pkey generate(KeyAlgorithm algorithm) {
  const std::size_t bits = key_bits(algorithm);
  if (is_rsa(algorithm)) return Pkey(EVP_RSA_gen(bits));
  return Pkey(EVP_EC_gen(("P-" + std::to_string(bits)).c_str()));
}

bool set_padding(EVP_PKEY_CTX* context, Padding padding) {
  switch (padding) {
    case Padding::none: return true;
    case Padding::rsa_pkcs1: return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) > 0;
    case Padding::rsa_pss:
      return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) > 0;
  }
  return false;
}

Error token_error(Errc code, std::string what) {
  return {.code = code, .retry = Retry::after_operator, .what = std::move(what)};
}

std::string to_pem(const std::string& id) {
  const Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio(bio.get(), pem_label, "", as_uchar(as_bytes(id)), static_cast<long>(id.size()));
  return std::string(as_text(bio_bytes(bio.get())));
}

/// A few digits that tell a damaged identifier from that of a key that is gone.
std::string checksum(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) <= 0) std::abort();
  std::string digits;
  for (const unsigned char octet : std::span(digest).first(8)) digits += std::to_string(octet);
  return digits;
}

bool is_location(std::string_view text) {
  constexpr std::array<std::string_view, 5> schemes{"fake:", "handle:", "nv:", "template:", "pkcs11:"};
  return std::ranges::any_of(
      schemes, [&](std::string_view scheme) { return text.starts_with(scheme) && text.size() > scheme.size(); });
}

Error not_a_location(std::string_view text) {
  return {.code = Errc::usage, .what = "'" + printable(text) + "' is not of the form fake:NAME"};
}

Result<std::string> from_pem(std::string_view pem) {
  if (pem.size() > largest_pem) return fail(token_error(Errc::token_wrong_key, "the key file is too large"));
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  const bool read = PEM_read_bio(bio.get(), &name, &header, &data, &size) > 0 && std::string_view(name) == pem_label;
  std::string id;
  if (read) id = as_text(to_bytes(data, static_cast<std::size_t>(size)));
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_free(data);
  ERR_clear_error();
  const std::size_t end = id.rfind(':');
  if (end != std::string::npos && id.substr(end + 1) == checksum(id.substr(0, end))) return id;
  return fail(token_error(Errc::token_wrong_key, "the key file is not of a fake token"));
}

}  // namespace

FakeHardware::FakeHardware() {
  static unsigned made = 0;
  serial_ = "fake-" + std::to_string(++made) + ":";
}

PublicKey FakeHardware::put_key(const std::string& location, KeyAlgorithm algorithm) {
  Pkey key = generate(algorithm);
  auto known = public_key_of(key.get());
  if (!known) std::abort();
  factory_.insert_or_assign(location, StoredKey{.key = std::move(key), .public_key = *known});
  return *known;
}

void FakeHardware::keep_in(const std::filesystem::path& directory) {
  directory_ = directory;
  made_.clear();
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() != ".key") continue;
    const Bio bio(BIO_new_file(entry.path().c_str(), "r"));
    Pkey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
    auto known = public_key_of(key.get());
    if (!known) std::abort();
    const std::string name = entry.path().stem();
    next_number_ = std::max(next_number_, static_cast<unsigned>(std::stoul(name)) + 1);
    const std::string number = serial_ + name;
    made_.emplace(number + ":" + checksum(number), StoredKey{.key = std::move(key), .public_key = std::move(*known)});
  }
}

std::filesystem::path FakeHardware::file_of(const std::string& id) const {
  const std::string number = id.substr(serial_.size(), id.rfind(':') - serial_.size());
  return directory_ / (number + ".key");
}

void FakeHardware::write_key(const std::string& id, EVP_PKEY* key) const {
  if (directory_.empty()) return;
  const auto file = file_of(id);
  auto unfinished = file;
  unfinished += ".new";
  {
    const Bio bio(BIO_new_file(unfinished.c_str(), "w"));
    if (PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) std::abort();
  }
  std::filesystem::rename(unfinished, file);
}

void FakeHardware::remove_key_file(const std::string& id) const {
  if (!directory_.empty()) std::filesystem::remove(file_of(id));
}

std::set<std::string> FakeHardware::pems() const {
  std::set<std::string> all;
  for (const auto& [id, key] : made_) all.insert(to_pem(id));
  return all;
}

void FakeHardware::put_certificate(const std::string& location, Bytes certificate) {
  certificates_.insert_or_assign(location, std::move(certificate));
}

void FakeHardware::put_unusable_key(const std::string& location, Error why) {
  unusable_.insert_or_assign(location, std::move(why));
}

void FakeHardware::lie_about_key(const std::string& location, PublicKey public_key) {
  lies_.insert_or_assign(location, std::move(public_key));
}

void FakeHardware::remove_key(const std::string& location) { factory_.erase(location); }

void FakeHardware::remove_certificate(const std::string& location) { certificates_.erase(location); }

void FakeHardware::make_derivable(const std::string& location) { derivable_.insert(location); }

Bytes FakeHardware::stored_certificate(std::string_view pem) const {
  const auto id = from_pem(pem);
  const auto found = id ? stored_certificates_.find(*id) : stored_certificates_.end();
  return found == stored_certificates_.end() ? Bytes{} : found->second;
}

void FakeHardware::fail_all(Error error) {
  failure_ = std::move(error);
  fails_in_ = 0;
}

void FakeHardware::fail_nth(unsigned nth, Error error) {
  failure_ = std::move(error);
  fails_in_ = std::max(nth, 1U);
}

void FakeHardware::fail_each(Operation operation, Error error) { failing_[operation] = std::move(error); }

void FakeHardware::recover() {
  failure_.reset();
  failing_.clear();
}

unsigned FakeHardware::count(Operation operation) const { return counts_.at(static_cast<std::size_t>(operation)); }

unsigned FakeHardware::operations() const { return std::accumulate(counts_.begin(), counts_.end(), 0U); }

Result<> FakeHardware::begin(Operation operation) {
  ++counts_.at(static_cast<std::size_t>(operation));
  if (const auto failing = failing_.find(operation); failing != failing_.end()) return fail(failing->second);
  if (!failure_) return {};
  if (fails_in_ > 1) {
    --fails_in_;
    return {};
  }
  Error error = *failure_;
  if (fails_in_ == 1) failure_.reset();
  return fail(std::move(error));
}

/// Finds its key anew for each signature, as a token would after a reset or a replacement.
class FakeKey final : public PrivateKey {
 public:
  FakeKey(FakeHardware& hardware, const FakeHardware::Keys& keys, std::string id, std::string pem, PublicKey public_key)
      : hardware_(hardware),
        keys_(keys),
        id_(std::move(id)),
        pem_(std::move(pem)),
        public_key_(std::move(public_key)) {}

  [[nodiscard]] const PublicKey& public_key() const override { return public_key_; }
  [[nodiscard]] std::string pem() const override { return pem_; }

  Result<Bytes> sign(BytesView digest, SignatureScheme scheme) override {
    if (auto begun = hardware_.begin(Operation::sign); !begun) return fail(std::move(begun.error()));
    if (digest.size() != digest_size(scheme.digest))
      return fail({.code = Errc::usage, .what = "the digest has a wrong length"});
    if (is_rsa(public_key_.algorithm) == (scheme.padding == Padding::none))
      return fail(token_error(Errc::token_unsupported, "the scheme does not fit the key"));
    const auto found = keys_.find(id_);
    if (found == keys_.end()) return fail(token_error(Errc::token_no_such_key, "the key is gone"));
    if (found->second.public_key != public_key_)
      return fail(token_error(Errc::token_wrong_key, "there is another key now"));
    return signature(found->second.key.get(), digest, scheme);
  }

 private:
  [[nodiscard]] Result<Bytes> signature(EVP_PKEY* key, BytesView digest, SignatureScheme scheme) const {
    const PkeyContext context(EVP_PKEY_CTX_new(key, nullptr));
    Bytes octets(512);
    std::size_t size = octets.size();
    if (!context || EVP_PKEY_sign_init(context.get()) <= 0 || !set_padding(context.get(), scheme.padding) ||
        EVP_PKEY_CTX_set_signature_md(context.get(), message_digest(scheme.digest)) <= 0 ||
        EVP_PKEY_sign(context.get(), as_uchar(std::span(octets)), &size, as_uchar(digest), digest.size()) <= 0) {
      return fail(openssl_error(Errc::token_failed, Retry::later, "cannot sign"));
    }
    octets.resize(size);
    if (scheme.padding != Padding::none) return octets;
    return ecdsa_from_der(octets, key_bytes(public_key_.algorithm));
  }

  FakeHardware& hardware_;
  const FakeHardware::Keys& keys_;
  std::string id_;
  std::string pem_;
  PublicKey public_key_;
};

FakeToken::FakeToken(FakeHardware& hardware, std::string name, std::string kind)
    : hardware_(hardware), name_(std::move(name)), kind_(std::move(kind)) {}

TokenDescription FakeToken::description() const { return {.name = name_, .kind = kind_, .location = "memory:"}; }

Result<std::unique_ptr<PrivateKey>> FakeToken::create_key(const KeySpec& spec) {
  if (auto begun = hardware_.begin(Operation::create_key); !begun) return fail(std::move(begun.error()));
  if (auto accepted = accept(spec); !accepted) return fail(std::move(accepted.error()));
  Pkey key = generate(spec.algorithm);
  auto known = public_key_of(key.get());
  if (!known) return fail(std::move(known.error()));
  return keep(std::move(key), std::move(*known));
}

Result<std::unique_ptr<PrivateKey>> FakeToken::import_key(const KeySpec& spec, const Secret& pkcs8) {
  if (auto begun = hardware_.begin(Operation::import_key); !begun) return fail(std::move(begun.error()));
  if (auto accepted = accept(spec); !accepted) return fail(std::move(accepted.error()));
  const auto given = read_outside_key(spec.algorithm, pkcs8);
  if (!given) return fail(given.error());
  const unsigned char* position = as_uchar(given->private_key_info.reveal());
  Pkey key(d2i_AutoPrivateKey(nullptr, &position, static_cast<long>(given->private_key_info.size())));
  auto known = public_key_of(key.get());
  if (!known) return fail(std::move(known.error()));
  if (*known != given->public_key) return fail(token_error(Errc::token_failed, "OpenSSL reads another key"));
  return keep(std::move(key), std::move(*known));
}

Result<> FakeToken::accept(const KeySpec& spec) {
  hardware_.last_spec_ = spec;
  if (!std::holds_alternative<NoAuthorization>(spec.authorization) && !hardware_.knows_authorizations_)
    return fail(token_error(Errc::token_unsupported, "a fake token knows no authorizations"));
  return {};
}

std::unique_ptr<PrivateKey> FakeToken::keep(Pkey key, PublicKey public_key) {
  const std::string number = hardware_.serial_ + std::to_string(hardware_.next_number_++);
  const std::string id = number + ":" + checksum(number);
  if (hardware_.last_spec_.announce) hardware_.last_spec_.announce(to_pem(id));
  hardware_.last_spec_.announce = {};
  hardware_.write_key(id, key.get());
  hardware_.made_.emplace(id, FakeHardware::StoredKey{.key = std::move(key), .public_key = public_key});
  return std::make_unique<FakeKey>(hardware_, hardware_.made_, id, to_pem(id), std::move(public_key));
}

Result<std::unique_ptr<PrivateKey>> FakeToken::open_key(std::string_view pem) {
  if (auto begun = hardware_.begin(Operation::open_key); !begun) return fail(std::move(begun.error()));
  auto id = from_pem(pem);
  if (!id) return fail(std::move(id.error()));
  if (!id->starts_with(hardware_.serial_))
    return fail(token_error(Errc::token_wrong_key, "the key belongs to another token"));
  const auto found = hardware_.made_.find(*id);
  if (found == hardware_.made_.end()) return fail(token_error(Errc::token_no_such_key, "the key is gone"));
  return std::make_unique<FakeKey>(hardware_, hardware_.made_, *id, to_pem(*id), found->second.public_key);
}

Result<std::unique_ptr<PrivateKey>> FakeToken::open_key_at(std::string_view location) {
  if (auto begun = hardware_.begin(Operation::open_key_at); !begun) return fail(std::move(begun.error()));
  if (!is_location(location)) return fail(not_a_location(location));
  const auto found = hardware_.factory_.find(location);
  if (found == hardware_.factory_.end())
    return fail(token_error(Errc::token_no_such_key, "there is no key at " + printable(location)));
  return std::make_unique<FakeKey>(hardware_, hardware_.factory_, found->first, "", found->second.public_key);
}

Result<Bytes> FakeToken::read_certificate(std::string_view location) {
  if (auto begun = hardware_.begin(Operation::read_certificate); !begun) return fail(std::move(begun.error()));
  if (!is_location(location)) return fail(not_a_location(location));
  const auto found = hardware_.certificates_.find(location);
  if (found == hardware_.certificates_.end())
    return fail(token_error(Errc::idevid_missing, "there is no certificate at " + printable(location)));
  return found->second;
}

Result<> FakeToken::destroy_key(std::string_view pem) {
  if (auto begun = hardware_.begin(Operation::destroy_key); !begun) return begun;
  auto id = from_pem(pem);
  if (!id) return fail(std::move(id.error()));
  if (hardware_.made_.erase(*id) > 0) hardware_.remove_key_file(*id);
  hardware_.stored_certificates_.erase(*id);
  return {};
}

Result<std::vector<KeyListing>> FakeToken::list_keys() {
  if (auto begun = hardware_.begin(Operation::list_keys); !begun) return fail(std::move(begun.error()));
  std::vector<KeyListing> listing;
  for (const auto& [location, stored] : hardware_.factory_)
    if (!hardware_.derivable_.contains(location))
      listing.push_back(
          {.location = location,
           .public_key = hardware_.lies_.contains(location) ? hardware_.lies_.at(location) : stored.public_key});
  for (const auto& [location, why] : hardware_.unusable_)
    listing.push_back({.location = location, .public_key = fail(why)});
  return listing;
}

Result<std::vector<CertificateListing>> FakeToken::list_certificates() {
  if (auto begun = hardware_.begin(Operation::list_certificates); !begun) return fail(std::move(begun.error()));
  std::vector<CertificateListing> listing;
  for (const auto& [location, content] : hardware_.certificates_)
    listing.push_back({.location = location, .content = content});
  return listing;
}

std::vector<std::string> FakeToken::derivable_keys(KeyAlgorithm algorithm) const {
  std::vector<std::string> locations;
  for (const auto& location : hardware_.derivable_)
    if (const auto found = hardware_.factory_.find(location);
        found != hardware_.factory_.end() && found->second.public_key.algorithm == algorithm)
      locations.push_back(location);
  return locations;
}

Result<> FakeToken::store_certificate(std::string_view pem, BytesView certificate) {
  if (auto begun = hardware_.begin(Operation::store_certificate); !begun) return begun;
  auto id = from_pem(pem);
  if (!id) return fail(std::move(id.error()));
  if (!hardware_.made_.contains(*id)) return fail(token_error(Errc::token_no_such_key, "the key is gone"));
  hardware_.stored_certificates_.insert_or_assign(*id, to_bytes(certificate));
  return {};
}

Result<TokenReport> FakeToken::inspect() {
  if (auto begun = hardware_.begin(Operation::inspect); !begun) return fail(std::move(begun.error()));
  const auto algorithms = all_key_algorithms();
  return TokenReport{.manufacturer = "devid",
                     .model = "fake",
                     .serial_number = hardware_.serial_,
                     .algorithms = {algorithms.begin(), algorithms.end()}};
}

}  // namespace devid::test
