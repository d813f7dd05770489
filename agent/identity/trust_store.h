#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/est/endpoint.h"
#include "agent/identity/trust_record.h"

namespace devid::identity {

/// "trust-anchors.json", in the directory of an identity.
std::filesystem::path trust_file(const std::filesystem::path& directory);

/// The trust record of one identity, in its file. What changes is written at once, atomically; on an error nothing has
/// changed. One process uses a file, from one thread.
class TrustStore {
 public:
  /// Reads the file. No such file is an empty record; so is one that is damaged or cannot be read, and trouble() says
  /// that.
  explicit TrustStore(std::filesystem::path file);

  /// Why the record that is on disk does not count. state_corrupt: the next change replaces it. storage_failed: it may
  /// be whole, so that nothing is changed until it can be read.
  [[nodiscard]] const std::optional<Error>& trouble() const { return trouble_; }
  [[nodiscard]] const TrustRecord& record() const { return record_; }

  /// anchors_of() for this record. Error: trust_missing.
  [[nodiscard]] Result<std::vector<pki::Certificate>> anchors(const std::vector<pki::Certificate>& profile,
                                                              std::string_view server, Time now) const {
    return anchors_of(profile, record_, server, now);
  }
  /// What these servers have shown of their CAs, before any of them was trusted: what an operator may accept.
  [[nodiscard]] std::vector<ServerAnchor> offered(const std::vector<est::Endpoint>& servers) const;
  /// The same for one server.
  [[nodiscard]] std::vector<ServerAnchor> offered(std::string_view server) const {
    return identity::offered(record_, server);
  }
  /// What was met before of the fingerprint that the profile names.
  [[nodiscard]] std::optional<pki::Certificate> pinned(std::string_view fingerprint, std::string_view server) const {
    return identity::pinned(record_, fingerprint, server);
  }
  /// When a trusted server's /cacerts was last looked at.
  [[nodiscard]] std::optional<Time> looked_at() const { return record_.looked_at; }

  /// The /cacerts of a server that is not trusted: see(). Error: storage_failed.
  Result<> saw(const std::string& server, const std::vector<pki::Certificate>& certificates, Time now);
  /// A look at the /cacerts of a trusted server: what it adds is learned, and what this server showed before is offered
  /// no more. Error: storage_failed.
  Result<> learn(const pki::Rollover& rollover, std::string_view server, Time now);
  /// An operator's word: accept(). Errors: wrong_state, storage_failed.
  Result<ServerAnchor> accept(std::string_view fingerprint, std::string_view server, Time now);
  /// The profile's word, met for the first time: pin(). Error: storage_failed.
  Result<> pin(const pki::Certificate& certificate, const std::string& server, Time now);

 private:
  Result<> replace(TrustRecord changed);

  std::filesystem::path file_;
  TrustRecord record_;
  std::optional<Error> trouble_;
};

}  // namespace devid::identity
