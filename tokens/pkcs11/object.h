#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "tokens/pkcs11/cryptoki.h"
#include "tokens/pkcs11/uri.h"

namespace devid::pkcs11 {

/// Attributes for a search or a new object, which owns their values, and wipes them: they may be those of a private
/// key.
class Template {
 public:
  Template& add(CK_ATTRIBUTE_TYPE type, BytesView value);
  Template& add(CK_ATTRIBUTE_TYPE type, bool value);
  Template& add(CK_ATTRIBUTE_TYPE type, CK_ULONG value);
  /// As a C function takes it; valid until the next add().
  std::vector<CK_ATTRIBUTE> attributes();

 private:
  struct Entry {
    CK_ATTRIBUTE_TYPE type;
    Secret value;
  };
  std::vector<Entry> entries_;
};

/// The attributes that an object was asked for and has.
class Attributes {
 public:
  void set(CK_ATTRIBUTE_TYPE type, Bytes value) { values_.insert_or_assign(type, std::move(value)); }
  /// Empty if the object has none.
  [[nodiscard]] BytesView bytes(CK_ATTRIBUTE_TYPE type) const;
  [[nodiscard]] std::string text(CK_ATTRIBUTE_TYPE type) const { return std::string(as_text(bytes(type))); }
  /// None if the object has none, or one of another size.
  [[nodiscard]] std::optional<bool> flag(CK_ATTRIBUTE_TYPE type) const;
  [[nodiscard]] std::optional<CK_ULONG> number(CK_ATTRIBUTE_TYPE type) const;

 private:
  std::map<CK_ATTRIBUTE_TYPE, Bytes> values_;
};

/// An object of a token, by handle and name. The handle is good for one session.
struct Object {
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  CK_OBJECT_CLASS type = 0;
  ObjectName name;
};

/// The first of these objects of a class whose label is the given one, if one is given; null if there is none.
const Object* object_of(std::span<const Object> objects, CK_OBJECT_CLASS type, std::string_view label = {});

/// The one of these objects of a class that a name means. Errors: `missing` if there is none; token_ambiguous.
Result<Object> the_object(std::span<const Object> objects, CK_OBJECT_CLASS type, const ObjectName& name, Errc missing);

/// Where an object is, as open_key_at() and read_certificate() take it: by its CKA_ID, with its label where others of
/// its class among `objects` have the same, or by its label alone. None if it has neither.
std::string listed_location(const ObjectName& name, std::span<const Object> objects, CK_OBJECT_CLASS type);

/// Whether devid made it: its label begins with "devid:".
bool is_ours(const Object& object);

}  // namespace devid::pkcs11
