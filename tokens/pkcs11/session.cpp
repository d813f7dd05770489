#include "tokens/pkcs11/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "tokens/pkcs11/ckr.h"
#include "tokens/pkcs11/mechanism.h"

namespace devid::pkcs11 {
namespace {

constexpr CK_ULONG unavailable = CK_UNAVAILABLE_INFORMATION;
constexpr CK_ULONG largest_attributes = 64UL * 1024;
constexpr CK_ULONG usual_attribute = 1024;
constexpr std::size_t largest_signature = 1024;
constexpr std::size_t most_of_one_id = 32;
constexpr CK_ULONG at_once = 64;

Error absurd(std::string reason) {
  return {.code = Errc::token_failed,
          .retry = Retry::later,
          .what = "the PKCS#11 module returned something that cannot be",
          .reason = std::move(reason)};
}

/// An object that lacks some of the attributes, or hides some, still tells the others (PKCS#11 v2.40, 5.7).
bool is_partial(CK_RV rv) { return rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID; }

}  // namespace

Result<std::unique_ptr<Session>> Session::open(CK_FUNCTION_LIST& functions, const Slot& slot) {
  bool writable = !slot.has(CKF_WRITE_PROTECTED);
  const auto open_as = [&](CK_FLAGS flags, CK_SESSION_HANDLE& handle) {
    return functions.C_OpenSession(slot.id, CKF_SERIAL_SESSION | flags, nullptr, nullptr, &handle);
  };
  CK_SESSION_HANDLE handle = CK_INVALID_HANDLE;
  CK_RV rv = open_as(writable ? CKF_RW_SESSION : 0, handle);
  if (rv == CKR_TOKEN_WRITE_PROTECTED && writable) {
    writable = false;
    rv = open_as(0, handle);
  }
  if (rv != CKR_OK) return fail(to_error({.name = "C_OpenSession", .rv = rv}));
  return std::unique_ptr<Session>(new Session(functions, handle, slot, writable));
}

void Session::close() const { std::ignore = functions_.C_CloseSession(handle_); }

Result<> Session::check(const Call& call) {
  last_ = call.rv;
  if (call.rv == CKR_OK) return {};
  lost_ = lost_ || pkcs11::is_lost(call.rv);
  return fail(to_error(call));
}

CK_RV Session::login(CK_USER_TYPE user, const Secret& pin) {
  // C_Login takes no const pointer, and writes nothing there.
  auto* text = const_cast<unsigned char*>(as_uchar(pin.reveal()));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  const CK_RV rv = functions_.C_Login(handle_, user, text, pin.size());
  std::ignore = check({.name = "C_Login", .rv = rv});
  doubts_pin_ = says_nothing(rv);
  if ((rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) && user == CKU_USER) {
    logged_in_ = true;
    objects_.clear();
  }
  return rv;
}

Result<std::vector<CK_OBJECT_HANDLE>> Session::handles(Template attributes, std::size_t most) {
  auto wanted = attributes.attributes();
  if (auto begun = check(
          {.name = "C_FindObjectsInit", .rv = functions_.C_FindObjectsInit(handle_, wanted.data(), wanted.size())});
      !begun)
    return fail(std::move(begun.error()));
  std::vector<CK_OBJECT_HANDLE> found;
  Result<> going;
  CK_ULONG got = at_once;
  while (going && got == at_once && found.size() <= most) {
    std::array<CK_OBJECT_HANDLE, at_once> some{};
    going = check({.name = "C_FindObjects", .rv = functions_.C_FindObjects(handle_, some.data(), at_once, &got)});
    if (going && got > at_once) going = fail(absurd("C_FindObjects: more objects than asked for"));
    if (going) found.insert(found.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(got));
  }
  // Ended in any case: the session has one search at a time.
  const Result<> ended = check({.name = "C_FindObjectsFinal", .rv = functions_.C_FindObjectsFinal(handle_)});
  if (!going) return fail(going.error());
  if (!ended) return fail(ended.error());
  if (found.size() > most) return fail(absurd(fmt::format("there are more than {} objects of this kind", most)));
  return found;
}

Result<std::vector<Object>> Session::find(Template attributes, std::size_t most) {
  const auto found = handles(std::move(attributes), most);
  if (!found) return fail(found.error());
  std::vector<Object> objects;
  for (const CK_OBJECT_HANDLE handle : *found) {
    constexpr std::array<CK_ATTRIBUTE_TYPE, 3> names{CKA_CLASS, CKA_ID, CKA_LABEL};
    const auto values = read(handle, names);
    if (!values) return fail(values.error());
    const auto type = values->number(CKA_CLASS);
    if (!type) return fail(absurd("an object has no CKA_CLASS"));
    objects.push_back({.handle = handle,
                       .type = *type,
                       .name = {.id = to_bytes(values->bytes(CKA_ID)), .label = values->text(CKA_LABEL)}});
  }
  return objects;
}

Result<std::vector<Object>> Session::objects_of(const Bytes& id) {
  const auto known = objects_.find(id);
  if (known != objects_.end()) return known->second;
  auto found = find(std::move(Template().add(CKA_ID, id)), most_of_one_id);
  if (!found) return found;
  // What has this CKA_ID may be destroyed: a module that searches badly is not believed.
  std::erase_if(*found, [&](const Object& object) { return object.name.id != id; });
  if (!found->empty()) remember(id, *found);
  return found;
}

Result<Attributes> Session::read(CK_OBJECT_HANDLE object, std::span<const CK_ATTRIBUTE_TYPE> types) {
  std::vector<CK_ATTRIBUTE> wanted;
  std::vector<Bytes> values;
  const auto ask = [&] {
    const CK_RV rv = functions_.C_GetAttributeValue(handle_, object, wanted.data(), wanted.size());
    return Call{.name = "C_GetAttributeValue", .rv = is_partial(rv) ? CKR_OK : rv};
  };
  // Most attributes are small: one call does then.
  for (const CK_ATTRIBUTE_TYPE type : types)
    wanted.push_back(
        {.type = type, .pValue = values.emplace_back(usual_attribute).data(), .ulValueLen = usual_attribute});
  Call call = ask();
  if (call.rv == CKR_BUFFER_TOO_SMALL) {
    for (CK_ATTRIBUTE& attribute : wanted) attribute = {.type = attribute.type, .pValue = nullptr, .ulValueLen = 0};
    if (auto sizes = check(ask()); !sizes) return fail(std::move(sizes.error()));
    std::erase_if(wanted, [](const CK_ATTRIBUTE& attribute) { return attribute.ulValueLen == unavailable; });
    values.clear();
    CK_ULONG total = 0;
    for (CK_ATTRIBUTE& attribute : wanted) {
      if (attribute.ulValueLen > largest_attributes - total) return fail(absurd("an attribute is larger than 64 KiB"));
      total += attribute.ulValueLen;
      attribute.pValue = values.emplace_back(attribute.ulValueLen).data();
    }
    call = ask();
  }
  if (auto got = check(call); !got) return fail(std::move(got.error()));
  Attributes attributes;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].ulValueLen == unavailable) continue;
    if (wanted[i].ulValueLen > values[i].size()) return fail(absurd("an attribute is longer than its buffer"));
    values[i].resize(wanted[i].ulValueLen);
    attributes.set(wanted[i].type, std::move(values[i]));
  }
  return attributes;
}

CK_RV Session::generate(CK_MECHANISM_TYPE mechanism, Template public_key, Template private_key, KeyPair& made) {
  CK_MECHANISM how{.mechanism = mechanism, .pParameter = nullptr, .ulParameterLen = 0};
  auto of_public = public_key.attributes();
  auto of_private = private_key.attributes();
  const CK_RV rv = functions_.C_GenerateKeyPair(handle_, &how, of_public.data(), of_public.size(), of_private.data(),
                                                of_private.size(), &made.public_key, &made.private_key);
  std::ignore = check({.name = "C_GenerateKeyPair", .rv = rv});
  return rv;
}

Result<CK_OBJECT_HANDLE> Session::create(Template attributes) {
  auto of_object = attributes.attributes();
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  const CK_RV rv = functions_.C_CreateObject(handle_, of_object.data(), of_object.size(), &handle);
  if (auto created = check({.name = "C_CreateObject", .rv = rv}); !created) return fail(std::move(created.error()));
  return handle;
}

Result<CK_OBJECT_HANDLE> Session::unwrap(CK_MECHANISM mechanism, CK_OBJECT_HANDLE key, BytesView wrapped,
                                         Template attributes) {
  auto of_object = attributes.attributes();
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  auto* from = const_cast<unsigned char*>(as_uchar(wrapped));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  const CK_RV rv = functions_.C_UnwrapKey(handle_, &mechanism, key, from, wrapped.size(), of_object.data(),
                                          of_object.size(), &handle);
  if (auto unwrapped = check({.name = "C_UnwrapKey", .rv = rv}); !unwrapped) return fail(std::move(unwrapped.error()));
  return handle;
}

Result<> Session::destroy(CK_OBJECT_HANDLE object) {
  const CK_RV rv = functions_.C_DestroyObject(handle_, object);
  return is_missing_object(rv) ? Result<>() : check({.name = "C_DestroyObject", .rv = rv});
}

Result<Bytes> Session::finish_signature(BytesView data) {
  Bytes signature(largest_signature);
  CK_ULONG size = signature.size();
  auto* from = const_cast<unsigned char*>(as_uchar(data));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  const CK_RV rv = functions_.C_Sign(handle_, from, data.size(), as_uchar(std::span(signature)), &size);
  spoilt_ = spoilt_ || rv == CKR_BUFFER_TOO_SMALL;
  if (auto signed_it = check({.name = "C_Sign", .rv = rv}); !signed_it) return fail(std::move(signed_it.error()));
  if (size > signature.size()) return fail(absurd("C_Sign: a signature longer than its buffer"));
  signature.resize(size);
  return signature;
}

std::optional<CK_MECHANISM_TYPE> Session::unwrapping_mechanism() const {
  return pkcs11::unwrapping_mechanism(functions_, slot_.id);
}

std::string Session::what_it_makes() const {
  const auto algorithms = algorithms_of(functions_, slot_.id);
  return algorithms ? algorithms_text(*algorithms) : "unknown";
}

}  // namespace devid::pkcs11
