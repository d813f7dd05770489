#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "base/result.h"
#include "base/secret.h"
#include "tokens/pkcs11/module.h"
#include "tokens/pkcs11/pkcs11_token.h"
#include "tokens/pkcs11/refused_pins.h"
#include "tokens/pkcs11/session.h"
#include "tokens/pkcs11/slot.h"
#include "tokens/pkcs11/uri.h"

namespace devid::pkcs11 {

/// What an operation needs of the session.
enum class Login {
  none,      ///< what everybody may see
  possible,  ///< what the user may see, if a login is possible; else what everybody may see
  needed
};

/// The one token that a specification means, there or not: its module is loaded and a session opened when it is first
/// needed, and again after it was away.
class Hsm {
 public:
  explicit Hsm(Pkcs11Spec spec);
  Hsm(const Hsm&) = delete;
  Hsm& operator=(const Hsm&) = delete;
  Hsm(Hsm&&) = delete;
  Hsm& operator=(Hsm&&) = delete;
  ~Hsm();

  [[nodiscard]] const Pkcs11Spec& spec() const { return spec_; }
  /// Whether the URI can be used; what is refused may hold a PIN.
  [[nodiscard]] bool is_described() const { return uri_.has_value(); }
  [[nodiscard]] RefusedPins& refused_pins() { return refused_; }

  /// Does `operation(Session&)`, which returns a Result. When it failed over something that was remembered from before
  /// (a session, a login, a handle), or the module stumbled, the module and the session are started anew, and it is
  /// done once more; but not if it stumbled over a PIN, which may be a wrong one.
  template <class Operation>
  auto run(Login login, const Operation& operation) -> std::invoke_result_t<Operation, Session&> {
    for (bool again = true;; again = false) {
      if (auto connected = connect(login); !connected) {
        if (again && restart_helps()) continue;
        return fail(std::move(connected.error()));
      }
      auto result = operation(*session_);
      if (result) return result;
      if (!session_->is_lost()) {
        if (session_->is_spoilt()) forget_session();
        return result;
      }
      const bool once_more = again && !session_->doubts_pin();
      restart();
      if (!once_more) return result;
    }
  }

  /// Logs in once more, for one use of a key that has CKA_ALWAYS_AUTHENTICATE.
  Result<> authenticate_use();

  /// Asks the token anew what it is, without a session. `operation(CK_FUNCTION_LIST&, const Slot&)`.
  template <class Operation>
  auto look(const Operation& operation) -> std::invoke_result_t<Operation, CK_FUNCTION_LIST&, const Slot&> {
    const auto slot = choose_slot();
    if (!slot) return fail(slot.error());
    return operation(module_->functions(), *slot);
  }

 private:
  Result<> load();
  Result<Slot> choose_slot();
  Result<Slot> choose_slot_once();
  Result<> connect(Login login);
  Result<> log_in(CK_USER_TYPE user);
  Result<Secret> pin_for(const Slot& slot);
  Result<SecretSource> pin_source() const;
  [[nodiscard]] bool was_counted(const Slot& before) const;
  Error refused(const Call& call, const Slot& slot, const Secret& pin);
  void restart();
  bool restart_helps();
  void forget_session();
  void leave_parent();

  Pkcs11Spec spec_;
  RefusedPins refused_;
  Result<Uri> uri_;  ///< of the token
  std::unique_ptr<Module> module_;
  std::unique_ptr<Session> session_;
  pid_t session_of_ = -1;
  bool connecting_lost_ = false;
};

}  // namespace devid::pkcs11
