#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/identity/clean_up.h"
#include "agent/identity/generation.h"
#include "agent/identity/request.h"
#include "agent/identity/rolled_back.h"
#include "agent/identity/store_layout.h"
#include "base/result.h"

namespace devid::identity {

/// The generations of one identity, and what may become the next one, below one directory:
///
///     generation/N/{token-key.pem,certificate.pem,chain.pem,certificate-chain.pem,trust-anchors.pem,meta.json}
///     current -> generation/N
///     request/{token-key.pem,request.der,meta.json}      what the CA has not answered yet
///     candidate/                                         as a generation: what it has issued, before it is proved
///     rolled-back.json                                   which generations were current once, and are not any more
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

  /// Keeps what may become the next generation once it is proved. There must be none. Its request is discarded by the
  /// caller. Errors: storage_failed, wrong_state; state_corrupt, as install().
  Result<> save_candidate(const Generation& candidate);
  /// Errors: state_corrupt (clean_up removes it), storage_failed, token_unsupported.
  [[nodiscard]] Result<std::optional<Generation>> candidate() const;
  /// As discard_request().
  Result<> discard_candidate();

  /// A generation that is not the current one. Errors: state_corrupt, storage_failed, token_unsupported.
  [[nodiscard]] Result<Generation> generation(std::uint64_t number) const;
  /// The numbers of all that are complete, or look so; of the current one, too. Error: storage_failed.
  [[nodiscard]] Result<std::set<std::uint64_t>> generations() const;
  /// Makes an older generation current again; the one that is current stays, and is remembered as one that was. On any
  /// error `current` is what it was. Errors: storage_failed; wrong_state, if there is no such generation.
  Result<> roll_back(std::uint64_t number, Time now);
  /// The generations after the current one, which it was rolled back from; all that ever were. Error: storage_failed.
  [[nodiscard]] Result<std::vector<RolledBack>> rolled_back() const;
  [[nodiscard]] Result<std::vector<RolledBack>> all_rolled_back() const;
  /// Takes a generation that is not current away: moves it aside, calls `before_removal`, and removes it. What cannot
  /// be removed goes at the next clean_up(). Errors: storage_failed; wrong_state, if it is the current one.
  Result<> retire(std::uint64_t number, const std::function<void()>& before_removal);

  /// The keys that the generations have, damaged ones too. Error: storage_failed, if not all of them can be read.
  [[nodiscard]] Result<std::set<std::string>> keys_of_generations() const;
  /// How many certificates a key has had, as far as generations say so. Error: storage_failed.
  [[nodiscard]] Result<std::uint32_t> certificates_of(std::string_view token_key_pem) const;
  /// These, and those of the request and of the candidate. Error: likewise.
  [[nodiscard]] Result<std::set<std::string>> keys_in_use() const;

  /// Puts right what a run that was cut short, or a damaged disk, left: removes what was not finished, a generation
  /// that never became current, and a request or candidate that cannot be read or was granted already; falls back
  /// from an unusable `current` to the newest complete generation before it. A generation that was current and is
  /// unusable now stays there for whoever looks into it, as N.damaged. One that a newer devid wrote is not damaged.
  /// Errors: storage_failed; token_unsupported, with `current` as it was.
  Result<CleanUp> clean_up(const OnAbandoned& on_abandoned = {});

  /// "DIRECTORY/current": its files are what other services are pointed to.
  [[nodiscard]] std::filesystem::path current_directory() const { return layout_.current(); }

 private:
  explicit Store(std::filesystem::path directory) : layout_(std::move(directory)) {}

  StoreLayout layout_;
};

}  // namespace devid::identity
