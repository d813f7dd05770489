#include "tokens/tpm/auth_value.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <tuple>

#include "base/openssl.h"

namespace devid::tpm {
namespace {

constexpr std::size_t random_bytes = 16;
/// More than a TPM's lockout lets anybody try; bounds what is kept in memory.
constexpr std::size_t most_remembered = 64;

Error too_long(const SecretSource& source, const Secret& value, std::size_t longest) {
  return {.code = Errc::config_invalid,
          .retry = Retry::after_operator,
          .what = "the auth value in " + source_text(source) + " has " + std::to_string(value.size()) +
                  " bytes, and the TPM takes at most " + std::to_string(longest),
          .hint = "write a shorter one; 32 hexadecimal digits are enough"};
}

Result<> make_auth_value(const SecretFile& file) {
  std::array<unsigned char, random_bytes> random{};
  if (RAND_priv_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    return fail(openssl_error(Errc::internal, Retry::later, "cannot make a random auth value"));
  }
  constexpr std::string_view digits = "0123456789abcdef";
  std::array<std::byte, 2 * random_bytes> text{};
  for (std::size_t i = 0; i < random.size(); ++i) {
    text.at(2 * i) = static_cast<std::byte>(digits[random.at(i) >> 4U]);
    text.at((2 * i) + 1) = static_cast<std::byte>(digits[random.at(i) & 0xFU]);
  }
  auto written = write_new_secret(file, text);
  wipe(text);
  wipe(std::as_writable_bytes(std::span(random)));
  if (written || written.error().code == Errc::wrong_state) return {};  // another process made it meanwhile
  return written;
}

}  // namespace

TpmAuth::TpmAuth(const Secret& value) {
  const BytesView bytes = value.reveal().first(std::min(value.size(), sizeof(value_.buffer)));
  value_.size = static_cast<UINT16>(bytes.size());
  std::ranges::copy(bytes, std::as_writable_bytes(std::span(value_.buffer)).begin());
}

TpmAuth::~TpmAuth() { wipe(std::as_writable_bytes(std::span(&value_, 1))); }

Result<Secret> read_auth_value(const SecretSource& source, std::size_t longest) {
  auto value = read_secret(source);
  if (value && value->size() > longest) return fail(too_long(source, *value, longest));
  return value;
}

Result<Secret> read_or_make_auth_value(const SecretSource& source, std::size_t longest) {
  auto value = read_auth_value(source, longest);
  const auto* file = std::get_if<SecretFile>(&source);
  if (value || value.error().code != Errc::config_missing || file == nullptr) return value;
  if (auto made = make_auth_value(*file); !made) return fail(std::move(made.error()));
  return read_auth_value(source, longest);
}

Result<> use_auth_value(Context& context, ESYS_TR object, const std::optional<SecretSource>& source) {
  if (!source) return use_auth_value(context, object, Secret());
  const auto value = read_auth_value(*source, sizeof(TPM2B_AUTH::buffer));
  if (!value) return fail(value.error());
  return use_auth_value(context, object, *value);
}

Result<> use_auth_value(Context& context, ESYS_TR object, const Secret& value) {
  const TpmAuth auth(value);
  const Call set =
      context.call("Esys_TR_SetAuth", [&](ESYS_CONTEXT* esys) { return Esys_TR_SetAuth(esys, object, &auth.get()); });
  if (!set.ok()) return fail(to_error(set));
  return {};
}

void forget_auth_value(Context& context, ESYS_TR object) { std::ignore = use_auth_value(context, object, Secret()); }

bool RefusedValues::contains(BytesView object, const Secret& value) const {
  const auto found = last_.find(to_bytes(object));
  return found != last_.end() && std::ranges::equal(found->second.reveal(), value.reveal());
}

void RefusedValues::remember(BytesView object, const Secret& value) {
  if (last_.size() >= most_remembered) last_.erase(last_.begin());
  last_.insert_or_assign(to_bytes(object), Secret(value.reveal()));
}

}  // namespace devid::tpm
