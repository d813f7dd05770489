#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "agent/identity/bookkeeping.h"
#include "agent/identity/next_step.h"
#include "base/error.h"

namespace devid::identity {

/// What may be wrong for a while around a device on a pole.
enum class Trouble { server_down, ldevid_refused, idevid_refused, slow_ca, short_lives, wrong_clock, no_power, last };

/// A stretch of true time in which something is wrong.
struct Spell {
  Time begin;
  Time end;
  Seconds clock_error{};  ///< of wrong_clock
};

/// A stretch of true time without a valid certificate.
struct Gap {
  Time begin;
  Time end;
  Seconds unexcused{};               ///< of it, while an enrollment was possible and not tried for too long
  bool tried_before = false;         ///< in vain, while there was a certificate; or there was no way to
  std::vector<std::string> reasons;  ///< what status said meanwhile, each once
};

/// What came of it.
struct Story {
  std::uint32_t attempts = 0;
  std::uint32_t failures = 0;
  std::uint32_t power_cuts = 0;
  std::uint32_t certificates = 0;
  std::uint32_t looks = 0;
  Seconds revoked_in_vain{};  ///< the longest that a revoked certificate stayed although another was to be had
  std::vector<Gap> gaps;
};

/// One device, with the code by which devidd decides, in a world that goes wrong at random.
class Pole {
 public:
  Pole(std::uint64_t seed, Time begin, Seconds duration);
  Story live();

 private:
  enum class End { done, pending, failed, power_cut };

  double random() { return std::ldexp(static_cast<double>(engine_() >> 11U), -53); }
  Seconds between(Seconds least, Seconds most);
  void plan(Trouble trouble, Seconds every, Seconds shortest, Seconds longest);
  [[nodiscard]] const Spell* spell(Trouble trouble) const;
  [[nodiscard]] bool is(Trouble trouble) const { return spell(trouble) != nullptr; }
  [[nodiscard]] Time clock() const;
  [[nodiscard]] bool is_revoked() const;
  [[nodiscard]] bool has_valid() const;
  [[nodiscard]] bool can_enroll() const;
  [[nodiscard]] Moment moment() const;
  [[nodiscard]] bool is_late() const;

  void tick();
  void observe();
  void look();
  void job(JobKind kind);
  void defer(JobKind kind, const Record& before);
  End ask(JobKind kind, Error& error);
  End any_failure(JobKind kind, Error& error);
  End issue(JobKind kind, Error& error);
  void restart(const Record& on_disk);
  void forget_request();

  std::mt19937_64 engine_;
  Random numbers_;
  Profile profile_;
  Time begin_;
  Time end_;
  Time now_;  ///< the true time
  std::array<std::vector<Spell>, static_cast<std::size_t>(Trouble::last)> spells_;
  std::vector<Time> revocations_;
  Situation situation_;
  Time issued_;                      ///< true time of the current certificate
  std::optional<Time> issues_at_;    ///< when the CA will have decided on the request that it has accepted
  Time last_tried_;                  ///< true time of the last attempt
  Time advised_until_;               ///< the server's own advice, of which a day counts
  std::optional<Time> can_since_;    ///< since when an enrollment has been possible
  std::optional<Time> knows_since_;  ///< since when the device could know of its revocation and do something about it
  bool off_ = false;
  Story story_;
};

}  // namespace devid::identity
