#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/identity/abandoned_keys.h"
#include "agent/identity/generation.h"
#include "agent/identity/request.h"
#include "base/result.h"

namespace devid::identity {

/// What Store::clean_up did.
struct CleanUp {
  std::vector<AbandonedKey> abandoned_keys;
  bool fell_back = false;  ///< `current` was unusable, and names the newest complete older generation now, or is gone
};

/// The generations of one identity, and the request that may become the next one, below one directory:
///
///     generation/N/{token-key.pem,certificate.pem,chain.pem,certificate-chain.pem,trust-anchors.pem,meta.json}
///     current -> generation/N
///     request/{token-key.pem,request.der,meta.json}
///
/// At every instant, a power cut included, `current` names a complete generation, or nothing if there was none: a
/// directory is written under another name, synced, renamed, and only then named. Whoever reads the public files may,
/// nobody else reads the keys and the request. One process uses a store at a time.
class Store {
 public:
  /// Makes the directory if it is not there. Touches nothing in it. Error: storage_failed.
  static Result<Store> open(std::filesystem::path directory);

  /// The generation that `current` names, read and checked; none if there is no `current`.
  /// Errors: state_corrupt (clean_up may help), storage_failed, token_unsupported (a newer devid's kind of key).
  [[nodiscard]] Result<std::optional<Generation>> current() const;

  /// What is still to be done with the directory of a generation before it gets its name. It cannot fail.
  using Finish = std::function<void(const std::filesystem::path& generation)>;

  /// Writes the next generation and makes it current; returns its number. `generation.number` is ignored. What it takes
  /// was verified by the caller. On any error `current` is what it was, and nothing is left behind. The caller discards
  /// the request. A number that `current` has named is never given again. Errors: storage_failed; state_corrupt if what
  /// was written does not read back, which it does not if its parts do not belong together.
  Result<std::uint64_t> install(const Generation& generation, const Finish& finish = [](const auto&) {});

  /// Keeps a request. There must be none. Errors: storage_failed, wrong_state.
  Result<> save_request(const Request& request);
  /// Keeps another CSR for the key of the request that is there. Errors: storage_failed, wrong_state.
  Result<> replace_request(const Request& request);
  /// Errors: state_corrupt (clean_up removes it), storage_failed.
  [[nodiscard]] Result<std::optional<Request>> request() const;
  /// Forgets the request; the key is the caller's to destroy, before. None there is no error. Error: storage_failed.
  Result<> discard_request();

  /// Puts right what a run that was cut short, or a damaged disk, left: removes what was not finished, a generation
  /// that never became current, and a request that cannot be read or whose key is in a generation already; falls back
  /// from an unusable `current` to the newest complete generation before it. A generation that was current and is
  /// unusable now stays there for whoever looks into it, as N.damaged. One that a newer devid wrote is not damaged.
  /// Errors: storage_failed; token_unsupported, with `current` as it was.
  Result<CleanUp> clean_up();

  /// "DIRECTORY/current": its files are what other services are pointed to.
  [[nodiscard]] std::filesystem::path current_directory() const { return directory_ / "current"; }

 private:
  explicit Store(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::filesystem::path directory_;
};

}  // namespace devid::identity
