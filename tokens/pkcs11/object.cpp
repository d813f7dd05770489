#include "tokens/pkcs11/object.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

namespace devid::pkcs11 {
namespace {

template <class T>
std::optional<T> value_of(BytesView bytes) {
  T value{};
  if (bytes.size() != sizeof value) return std::nullopt;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::string_view type_text(CK_OBJECT_CLASS type) {
  switch (type) {
    case CKO_PRIVATE_KEY: return "private key";
    case CKO_PUBLIC_KEY: return "public key";
    case CKO_CERTIFICATE: return "certificate";
    default: return "object";
  }
}

}  // namespace

Template& Template::add(CK_ATTRIBUTE_TYPE type, BytesView value) {
  entries_.push_back({.type = type, .value = Secret(value)});
  return *this;
}

Template& Template::add(CK_ATTRIBUTE_TYPE type, bool value) {
  const CK_BBOOL flag = value ? CK_TRUE : CK_FALSE;
  return add(type, std::as_bytes(std::span(&flag, 1)));
}

Template& Template::add(CK_ATTRIBUTE_TYPE type, CK_ULONG value) {
  return add(type, std::as_bytes(std::span(&value, 1)));
}

std::vector<CK_ATTRIBUTE> Template::attributes() {
  std::vector<CK_ATTRIBUTE> attributes;
  std::ranges::transform(entries_, std::back_inserter(attributes), [](const Entry& entry) {
    // CK_ATTRIBUTE has no pointer to const, and nothing is written there.
    auto* value = const_cast<std::byte*>(entry.value.reveal().data());  // NOLINT(cppcoreguidelines-pro-type-const-cast)
    return CK_ATTRIBUTE{.type = entry.type, .pValue = value, .ulValueLen = entry.value.size()};
  });
  return attributes;
}

BytesView Attributes::bytes(CK_ATTRIBUTE_TYPE type) const {
  const auto found = values_.find(type);
  return found == values_.end() ? BytesView() : BytesView(found->second);
}

std::optional<bool> Attributes::flag(CK_ATTRIBUTE_TYPE type) const {
  const auto value = value_of<CK_BBOOL>(bytes(type));
  return value ? std::optional(*value != CK_FALSE) : std::nullopt;
}

std::optional<CK_ULONG> Attributes::number(CK_ATTRIBUTE_TYPE type) const { return value_of<CK_ULONG>(bytes(type)); }

const Object* object_of(std::span<const Object> objects, CK_OBJECT_CLASS type, std::string_view label) {
  const auto found = std::ranges::find_if(objects, [&](const Object& object) {
    return object.type == type && (label.empty() || object.name.label == label);
  });
  return found == objects.end() ? nullptr : &*found;
}

Result<Object> the_object(std::span<const Object> objects, CK_OBJECT_CLASS type, const ObjectName& name, Errc missing) {
  std::vector<Object> meant;
  std::ranges::copy_if(objects, std::back_inserter(meant), [&](const Object& object) {
    return object.type == type && (name.id.empty() || object.name.id == name.id) &&
           (name.label.empty() || object.name.label == name.label);
  });
  if (meant.size() == 1) return meant.front();
  if (meant.empty()) {
    return fail({.code = missing,
                 .retry = Retry::after_operator,
                 .what = fmt::format("the token has no such {}", type_text(type)),
                 .hint = "list what is there with `pkcs11-tool --login --list-objects`"});
  }
  std::string found;
  for (const Object& object : meant) found += (found.empty() ? "" : ", ") + object_location(object.name);
  return fail({.code = Errc::token_ambiguous,
               .retry = Retry::after_operator,
               .what = fmt::format("{} objects of the token are meant, and not one {}", meant.size(), type_text(type)),
               .reason = found,
               .hint = "name it by both id and object (its label), or give each object a CKA_ID of its own"});
}

std::string listed_location(const ObjectName& name, std::span<const Object> objects, CK_OBJECT_CLASS type) {
  const auto same = std::ranges::count_if(
      objects, [&](const Object& object) { return object.type == type && object.name.id == name.id; });
  if (name.id.empty() || same > 1) return object_location(name);
  return object_location({.id = name.id, .label = {}});
}

bool is_ours(const Object& object) { return object.name.label.starts_with("devid:"); }

}  // namespace devid::pkcs11
