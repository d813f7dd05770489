#include "tokens/pkcs11/hsm.h"

#include <fmt/format.h>
#include <unistd.h>

#include <tuple>

#include "tokens/pkcs11/ckr.h"
#include "tokens/pkcs11/probe.h"

namespace devid::pkcs11 {
namespace {

constexpr std::string_view file_scheme = "file:";

/// Whatever is changed in it may have been what made a PIN wrong.
std::string configuration_of(const Pkcs11Spec& spec) {
  return fmt::format("{}\n{}\n{}", spec.uri, spec.module.string(), spec.pin ? source_text(*spec.pin) : "");
}

Error no_pin(std::string_view name) {
  return {.code = Errc::token_auth_failed,
          .retry = Retry::after_operator,
          .what = "the token wants a login, and no PIN is configured",
          .hint = fmt::format("name a systemd credential or a file that only devid can read: pin in [pkcs11.{}], or "
                              "pin-source in its URI",
                              name)};
}

Error locked(const Slot& slot) {
  return {.code = Errc::token_locked_out,
          .retry = Retry::after_operator,
          .what = "the user PIN of the token is locked",
          .reason = slot_text(slot),
          .hint = "unlock it with the SO PIN by the token's own tool (pkcs11-tool --init-pin)"};
}

Error final_try(const Slot& slot) {
  return {.code = Errc::token_locked_out,
          .retry = Retry::after_operator,
          .what = "one wrong PIN more locks the token: devid leaves this attempt to the operator",
          .reason = slot_text(slot),
          .hint =
              "log in once with the right PIN (pkcs11-tool --login --list-objects): that resets the counter, and "
              "devid goes on"};
}

Error refused_before(const Slot& slot, const RefusedPins& refused) {
  return {.code = Errc::token_auth_failed,
          .retry = Retry::after_operator,
          .what = "the token refused this PIN before: it is not tried again until it or the configuration changes",
          .reason = slot_text(slot),
          .hint = "put the right PIN into its credential or file; if it has become right meanwhile, remove " +
                  refused.file().string()};
}

Error entered_at_the_token(const Slot& slot) {
  return {.code = Errc::token_unsupported,
          .retry = Retry::after_operator,
          .what = "the PIN of the token is entered at the token, and devid has no hands",
          .reason = slot_text(slot),
          .hint = "use a token or reader without a PIN pad, or configure its driver not to use the pad"};
}

/// What a login may be tried with: failures that do not come from the PIN are not hidden.
bool is_about_the_pin(Errc code) {
  return code == Errc::token_auth_failed || code == Errc::token_locked_out || code == Errc::token_unsupported ||
         code == Errc::config_missing || code == Errc::config_invalid || code == Errc::state_corrupt ||
         code == Errc::storage_failed || code == Errc::token_not_ready;
}

}  // namespace

Hsm::Hsm(Pkcs11Spec spec)
    : spec_(std::move(spec)),
      refused_(spec_.state_directory, spec_.name, configuration_of(spec_)),
      uri_(Uri::parse(spec_.uri, Errc::config_invalid)) {}

Hsm::~Hsm() {
  leave_parent();
  forget_session();
}

void Hsm::leave_parent() {
  if (session_ && session_of_ != ::getpid()) session_.reset();  // without closing it: it is the parent's
}

void Hsm::forget_session() {
  if (session_) session_->close();
  session_.reset();
}

Result<> Hsm::load() {
  if (!uri_) return fail(uri_.error());
  if (!module_) {
    const auto file = module_file(spec_.module.empty() ? std::filesystem::path(uri_->module_path()) : spec_.module);
    if (!file) return fail(file.error());
    if (auto works = probe_module(spec_.probe, *file); !works) return works;
    auto module = Module::load(*file);
    if (!module) return fail(std::move(module.error()));
    module_ = std::move(*module);
  }
  leave_parent();
  return module_->initialize();
}

Result<Slot> Hsm::choose_slot_once() {
  if (auto loaded = load(); !loaded) return fail(std::move(loaded.error()));
  CK_INFO info{};
  const Call call{.name = "C_GetInfo", .rv = module_->functions().C_GetInfo(&info)};
  if (call.rv != CKR_OK) return fail(to_error(call));
  std::string unreadable;
  auto slots = list_slots(module_->functions(), unreadable);
  if (!slots) return fail(std::move(slots.error()));
  if (!uri_->matches(info)) slots->clear();
  return choose(*slots, *uri_, unreadable);
}

Result<Slot> Hsm::choose_slot() {
  const bool fresh = !module_ || !module_->is_initialized();
  auto slot = choose_slot_once();
  if (slot || fresh) return slot;
  const Errc code = slot.error().code;
  if (code != Errc::token_unreachable && code != Errc::token_failed && code != Errc::token_not_ready) return slot;
  restart();  // some modules look for new tokens only when they start
  return choose_slot_once();
}

Result<> Hsm::connect(Login login) {
  leave_parent();
  connecting_lost_ = false;
  if (!session_) {
    const auto slot = choose_slot();
    if (!slot) return fail(slot.error());
    auto session = Session::open(module_->functions(), *slot);
    if (!session) {
      connecting_lost_ = true;
      return fail(std::move(session.error()));
    }
    session_ = std::move(*session);
    session_of_ = ::getpid();
  }
  if (login == Login::none || session_->is_logged_in() || !session_->slot().has(CKF_LOGIN_REQUIRED)) return {};
  auto logged_in = log_in(CKU_USER);
  connecting_lost_ = session_->is_lost();
  if (!logged_in && login == Login::possible && !connecting_lost_ && is_about_the_pin(logged_in.error().code))
    return {};
  return logged_in;
}

Result<SecretSource> Hsm::pin_source() const {
  if (spec_.pin) return *spec_.pin;
  std::string source = uri_->pin_source();
  if (source.empty()) return fail(no_pin(spec_.name));
  if (source.starts_with(file_scheme)) {
    source.erase(0, file_scheme.size());
    if (source.starts_with("///")) source.erase(0, 2);  // RFC 8089: file:///path
  }
  return parse_secret_source(source);
}

Result<Secret> Hsm::pin_for(const Slot& slot) {
  if (slot.has(CKF_PROTECTED_AUTHENTICATION_PATH)) return fail(entered_at_the_token(slot));
  if (slot.has(CKF_USER_PIN_LOCKED)) return fail(locked(slot));
  const auto source = pin_source();
  if (!source) return fail(source.error());
  auto pin = read_secret(*source);
  if (!pin) return fail(while_doing("read the PIN of the token", std::move(pin.error())));
  const auto was_refused = refused_.contains(slot.identity(), *pin);
  if (!was_refused) return fail(was_refused.error());
  if (*was_refused) return fail(refused_before(slot, refused_));
  if (slot.has(CKF_USER_PIN_FINAL_TRY)) return fail(final_try(slot));
  if (auto ready = refused_.make_ready(); !ready)
    return fail(while_doing("keep a record of wrong PINs, without which none is tried", std::move(ready.error())));
  return pin;
}

Result<> Hsm::log_in(CK_USER_TYPE user) {
  // The counter may have changed since the session was opened.
  Slot slot = session_->slot();
  const Call asked{.name = "C_GetTokenInfo", .rv = module_->functions().C_GetTokenInfo(slot.id, &slot.token)};
  if (asked.rv != CKR_OK) return session_->check(asked);
  if (slot.identity() != session_->slot().identity()) return session_->check({"C_GetTokenInfo", CKR_DEVICE_REMOVED});
  const auto pin = pin_for(slot);
  if (!pin) return fail(pin.error());
  const CK_RV rv = session_->login(user, *pin);
  if (rv == CKR_OK) std::ignore = refused_.remove(slot.identity());  // what stays is of a PIN that is not used any more
  if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) return {};
  const Call call{.name = "C_Login", .rv = rv};
  return fail(refuses_pin(rv) || was_counted(slot) ? refused(call, slot, *pin) : to_error(call));
}

/// There are modules that have one error for everything. What the token counts tells a wrong PIN then, if it tells.
bool Hsm::was_counted(const Slot& before) const {
  constexpr CK_FLAGS counters = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;
  CK_TOKEN_INFO now{};
  return session_->doubts_pin() && module_->functions().C_GetTokenInfo(before.id, &now) == CKR_OK &&
         (now.flags & ~before.token.flags & counters) != 0;
}

Error Hsm::refused(const Call& call, const Slot& slot, const Secret& pin) {
  Error error = to_error(call);
  if (!refuses_pin(call.rv)) {
    error.code = Errc::token_auth_failed;
    error.retry = Retry::after_operator;
    error.what = "the token counts the PIN as a wrong one";
  }
  if (const auto noted = refused_.add(slot.identity(), pin); !noted)
    error.reason += "; that it is wrong cannot be noted for after a restart: " + noted.error().sentence();
  Slot now = slot;
  if (module_->functions().C_GetTokenInfo(now.id, &now.token) != CKR_OK) return error;
  if (now.has(CKF_USER_PIN_LOCKED)) error.reason += "; the user PIN is locked now";
  if (now.has(CKF_USER_PIN_FINAL_TRY)) error.reason += "; one wrong PIN more locks the token";
  if (now.has(CKF_USER_PIN_COUNT_LOW)) error.reason += "; the token counts wrong PINs";
  return error;
}

Result<> Hsm::authenticate_use() { return log_in(CKU_CONTEXT_SPECIFIC); }

void Hsm::restart() {
  leave_parent();
  forget_session();
  if (module_) module_->finalize();
}

bool Hsm::restart_helps() {
  if (!connecting_lost_) return false;
  const bool doubtful = session_ && session_->doubts_pin();
  restart();
  return !doubtful;
}

}  // namespace devid::pkcs11
