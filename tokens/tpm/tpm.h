#pragma once

#include <memory>
#include <set>
#include <type_traits>
#include <utility>

#include "base/result.h"
#include "tokens/tpm/connection.h"

namespace devid::tpm {

/// The TPM at one TCTI, there or not: connects when first used, and again after it was away.
class Tpm {
 public:
  explicit Tpm(TpmSpec spec) : spec_(std::move(spec)) {}
  Tpm(const Tpm&) = delete;
  Tpm& operator=(const Tpm&) = delete;
  Tpm(Tpm&&) = delete;
  Tpm& operator=(Tpm&&) = delete;
  ~Tpm() = default;

  [[nodiscard]] const TpmSpec& spec() const { return spec_; }

  /// Does `operation(Connection&)`, which returns a Result. It is done again, a few times at most, when it failed over
  /// something remembered from before: a connection that broke meanwhile, a session or an object that is gone.
  template <class Operation>
  auto run(const Operation& operation) -> std::invoke_result_t<Operation, Connection&> {
    constexpr int most_attempts = 4;  // the object, then the session, then the storage root key may be gone
    for (int attempt = 1;; ++attempt) {
      const bool fresh = connection_ == nullptr;
      if (auto connected = connect(); !connected) return fail(std::move(connected.error()));
      auto result = operation(*connection_);
      const bool stale = connection_->take_stale();
      const bool lost = drop_if_lost();
      const bool again = stale || (lost && !fresh);
      if (result || !again || attempt == most_attempts) return result;
    }
  }

  /// While there is one of them, a storage root key that is not persistent stays in the TPM. Does not connect.
  class Use {
   public:
    explicit Use(Tpm& tpm) : tpm_(&tpm) { ++tpm.users_; }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Use(Use&&) = delete;
    Use& operator=(Use&&) = delete;
    ~Use() { tpm_->leave(); }

   private:
    Tpm* tpm_;
  };

  /// PrivateKeys that share a blob or a template share its place in the TPM: the last one to go flushes it.
  void opened(const KeyBlob& key) { open_.insert(key.private_area); }
  void opened(const DerivedKey& key) { open_.insert(key.form); }
  void closed(const KeyBlob& key) { closed(key, key.private_area); }
  void closed(const DerivedKey& key) { closed(key, key.form); }
  /// Takes a key out of the TPM, if it is the loaded one. Does not connect.
  template <class Key>
  void unload(const Key& key) {
    if (!connection_ || !connection_->has_loaded(key)) return;
    connection_->unload();
    drop_if_lost();
  }

 private:
  Result<> connect();
  bool drop_if_lost();
  template <class Key>
  void closed(const Key& key, const Bytes& known_by) {
    if (const auto one = open_.find(known_by); one != open_.end()) open_.erase(one);
    if (!open_.contains(known_by)) unload(key);
  }

  void leave();

  TpmSpec spec_;
  RefusedValues refused_;
  std::unique_ptr<Connection> connection_;
  bool reclaim_ = false;  ///< a connection was lost: what it left in the TPM is to be flushed
  std::multiset<Bytes> open_;
  unsigned users_ = 0;
};

}  // namespace devid::tpm
