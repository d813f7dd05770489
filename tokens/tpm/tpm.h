#pragma once

#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <utility>

#include "base/result.h"
#include "tokens/tpm/connection.h"

namespace devid::tpm {

/// The TPM at one TCTI, there or not: connects when first used, and again after it was away.
class Tpm {
 public:
  explicit Tpm(std::string tcti) : tcti_(std::move(tcti)) {}
  Tpm(const Tpm&) = delete;
  Tpm& operator=(const Tpm&) = delete;
  Tpm(Tpm&&) = delete;
  Tpm& operator=(Tpm&&) = delete;
  ~Tpm() = default;

  [[nodiscard]] const std::string& tcti() const { return tcti_; }

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

  /// PrivateKeys that share a blob share its place in the TPM: the last one to go flushes it.
  void opened(const KeyBlob& key) { open_.insert(key.private_area); }
  void closed(const KeyBlob& key);
  /// Takes a key out of the TPM, if it is the loaded one. Does not connect.
  void unload(const KeyBlob& key);

 private:
  Result<> connect();
  bool drop_if_lost();

  std::string tcti_;
  std::unique_ptr<Connection> connection_;
  bool reclaim_ = false;  ///< a connection was lost: what it left in the TPM is to be flushed
  std::multiset<Bytes> open_;
};

}  // namespace devid::tpm
