#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "tokens/pkcs11/object.h"
#include "tokens/pkcs11/slot.h"

namespace devid::pkcs11 {

/// An open session on one token. Every answer of the module is bounded, and what it fails in becomes an Error here.
class Session {
 public:
  /// For reading and writing, if the token can be written to.
  static Result<std::unique_ptr<Session>> open(CK_FUNCTION_LIST& functions, const Slot& slot);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session(Session&&) = delete;
  Session& operator=(Session&&) = delete;
  /// Leaves the session to itself; close() ends it.
  ~Session() = default;
  /// Not for the sessions of a parent process.
  void close() const;

  [[nodiscard]] const Slot& slot() const { return slot_; }
  [[nodiscard]] bool is_writable() const { return writable_; }
  /// A call said that the session, its login or a handle is of no use any more.
  [[nodiscard]] bool is_lost() const { return lost_; }
  /// A signature was begun that can only be ended with the session (PKCS#11 v2.40, 5.11).
  [[nodiscard]] bool is_spoilt() const { return spoilt_; }
  [[nodiscard]] bool is_logged_in() const { return logged_in_; }
  /// A login failed, and the token did not say whether because of the PIN.
  [[nodiscard]] bool doubts_pin() const { return doubts_pin_; }

  /// C_Login. CKR_USER_ALREADY_LOGGED_IN, by another session of the process, is a login too. CKU_USER forgets the
  /// objects that were found.
  CK_RV login(CK_USER_TYPE user, const Secret& pin);

  /// The objects that have these attributes, at most `most`: with more, error token_failed.
  Result<std::vector<Object>> find(Template attributes, std::size_t most);
  /// The objects of a CKA_ID, of every class. Asks the token once a session.
  Result<std::vector<Object>> objects_of(const Bytes& id);
  /// Objects that were just made or changed: objects_of() returns these from now on.
  void remember(const Bytes& id, std::vector<Object> objects) { objects_.insert_or_assign(id, std::move(objects)); }
  void forget(const Bytes& id) { objects_.erase(id); }

  /// Reads these attributes; what the object does not have, or does not tell, is not in the result. 64 KiB at most.
  Result<Attributes> read(CK_OBJECT_HANDLE object, std::span<const CK_ATTRIBUTE_TYPE> types);

  struct KeyPair {
    CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE;
    CK_OBJECT_HANDLE private_key = CK_INVALID_HANDLE;
  };
  /// C_GenerateKeyPair as it is: the caller knows what a refusal means.
  CK_RV generate(CK_MECHANISM_TYPE mechanism, Template public_key, Template private_key, KeyPair& made);
  Result<CK_OBJECT_HANDLE> create(Template attributes);
  Result<CK_OBJECT_HANDLE> unwrap(CK_MECHANISM mechanism, CK_OBJECT_HANDLE key, BytesView wrapped, Template attributes);
  /// What is not there any more is destroyed.
  Result<> destroy(CK_OBJECT_HANDLE object);

  /// C_SignInit, `authenticate` in between, and C_Sign of `data` into at most 1,024 bytes. Which of the calls it was
  /// that failed is in the Call.
  template <class Authenticate>
  Result<Bytes> sign(CK_MECHANISM mechanism, CK_OBJECT_HANDLE key, BytesView data, const Authenticate& authenticate) {
    if (auto begun = check({.name = "C_SignInit", .rv = functions_.C_SignInit(handle_, &mechanism, key)}); !begun)
      return fail(std::move(begun.error()));
    if (Result<> authenticated = authenticate(); !authenticated) {
      spoilt_ = true;
      return fail(std::move(authenticated.error()));
    }
    return finish_signature(data);
  }

  /// What the token says it can make, for the text of a refusal.
  [[nodiscard]] std::string what_it_makes() const;

  /// By which an AES key unwraps private keys; none if the token does not say that it can.
  [[nodiscard]] std::optional<CK_MECHANISM_TYPE> unwrapping_mechanism() const;

  /// Notes whether the session is lost. The last return value stays known.
  Result<> check(const Call& call);
  [[nodiscard]] CK_RV last() const { return last_; }

  /// Something that the session learned: the token has no CKM_RSA_PKCS_PSS.
  bool lacks_pss = false;

 private:
  Session(CK_FUNCTION_LIST& functions, CK_SESSION_HANDLE handle, const Slot& slot, bool writable)
      : functions_(functions), handle_(handle), slot_(slot), writable_(writable) {}
  Result<Bytes> finish_signature(BytesView data);
  Result<std::vector<CK_OBJECT_HANDLE>> handles(Template attributes, std::size_t most);

  CK_FUNCTION_LIST& functions_;
  CK_SESSION_HANDLE handle_;
  Slot slot_;
  bool writable_;
  bool logged_in_ = false;
  bool lost_ = false;
  bool spoilt_ = false;
  bool doubts_pin_ = false;
  CK_RV last_ = CKR_OK;
  std::map<Bytes, std::vector<Object>> objects_;
};

}  // namespace devid::pkcs11
