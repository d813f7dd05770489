#include "agent/identity/candidates.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace devid::identity {
namespace {

constexpr std::string_view identity_handle = "handle:0x81020000";
constexpr std::string_view attestation_index = "nv:0x01c90100";
/// Of the IDevID's certificate, in the current specification of the TCG and in older ones.
constexpr std::array<std::string_view, 2> identity_indices{"nv:0x01c90200", "nv:0x01c90000"};

/// What is configured, then where the TCG puts it, then the rest.
std::size_t rank(const CandidateCertificate& certificate) {
  if (certificate.token.empty()) return 0;
  const auto* const index = std::ranges::find(identity_indices, certificate.location);
  if (index != identity_indices.end()) return 1 + static_cast<std::size_t>(index - identity_indices.begin());
  return identity_indices.size() + (is_attestation_index(certificate) ? 2 : 1);
}

/// Whether an error says that a place is empty or of no use, and nothing about the token.
bool is_of_the_place(Errc code) {
  switch (code) {
    case Errc::usage:
    case Errc::token_no_such_key:
    case Errc::token_wrong_key:
    case Errc::token_unsupported:
    case Errc::token_ambiguous:
    case Errc::idevid_missing: return true;
    default: return false;
  }
}

/// One run of collect().
class Collection {
 public:
  explicit Collection(const Search& search) : search_(search), wanted_(search.wanted) {}

  Candidates run() {
    collect_files();
    for (const auto& [name, token] : search_.tokens) {
      if (!wanted_.token.empty() && name != wanted_.token) continue;
      auto asked = collect_certificates(name, *token);
      if (asked) asked = collect_keys(name, *token);
      if (asked) {
        found_.asked.push_back(name);
      } else {
        found_.failures.push_back({.token = name, .error = std::move(asked.error())});
      }
    }
    std::ranges::stable_sort(found_.certificates, {}, rank);
    std::ranges::stable_partition(found_.keys, [](const CandidateKey& key) { return key.location == identity_handle; });
    return std::move(found_);
  }

 private:
  void add_file(const std::filesystem::path& file) {
    found_.certificates.push_back({.location = file.string(), .certificates = read_idevid_certificates(file)});
  }

  void collect_files() {
    if (!wanted_.certificate) {
      for (const auto& file : search_.files) add_file(file);
    } else if (const auto* file = std::get_if<InFile>(&*wanted_.certificate)) {
      add_file(file->path);
    }
  }

  Result<> collect_certificates(const std::string& name, Token& token) {
    if (wanted_.certificate) {
      const auto* place = std::get_if<InToken>(&*wanted_.certificate);
      if (place == nullptr) return {};
      auto content = token.read_certificate(place->location);
      if (!content && !is_of_the_place(content.error().code)) return fail(std::move(content.error()));
      add_certificate(name, place->location, content);
      return {};
    }
    const auto listed = token.list_certificates();
    if (!listed) return fail(listed.error());
    for (const auto& [location, content] : *listed) add_certificate(name, location, content);
    return {};
  }

  void add_certificate(const std::string& name, const std::string& location, const Result<Bytes>& content) {
    auto certificates =
        content ? parse_idevid_certificates(*content) : Result<IdevidCertificates>(fail(content.error()));
    found_.certificates.push_back({.token = name, .location = location, .certificates = std::move(certificates)});
  }

  Result<> collect_keys(const std::string& name, Token& token) {
    if (is_open_template(wanted_.key)) return {};
    if (!wanted_.key.empty()) {
      auto key = token.open_key_at(wanted_.key);
      if (!key && !is_of_the_place(key.error().code)) return fail(std::move(key.error()));
      auto public_key = key ? Result<PublicKey>((*key)->public_key()) : fail(key.error());
      found_.keys.push_back({.token = name,
                             .location = wanted_.key,
                             .public_key = std::move(public_key),
                             .opened = key ? std::move(*key) : nullptr});
      return {};
    }
    auto listed = token.list_keys();
    if (!listed) return fail(std::move(listed.error()));
    for (auto& [location, public_key] : *listed)
      found_.keys.push_back({.token = name, .location = location, .public_key = std::move(public_key)});
    return {};
  }

  const Search& search_;
  const IdevidLocation& wanted_;
  Candidates found_;
};

}  // namespace

bool is_open_template(std::string_view key) {
  return key.starts_with("template:") && key.find('/') == std::string_view::npos;
}

CertificateLocation location_of(const CandidateCertificate& certificate) {
  if (certificate.token.empty()) return InFile{certificate.location};
  return InToken{certificate.location};
}

bool is_attestation_index(const CandidateCertificate& certificate) {
  return !certificate.token.empty() && certificate.location == attestation_index;
}

Candidates collect(const Search& search) { return Collection(search).run(); }

}  // namespace devid::identity
