//! Rules of the protocol that a test can break on purpose, one at a time, to see whether anything notices.
//!
//! `broken!(Name)` stands where the rule stands. Without the feature `simulation` it is the constant `false`, and no name below is compiled.

#[cfg(not(feature = "simulation"))]
macro_rules! broken {
    ($name:ident) => {
        false
    };
}

#[cfg(feature = "simulation")]
macro_rules! broken {
    ($name:ident) => {
        $crate::mutants::Mutant::$name.is_on()
    };
}

pub(crate) use broken;

#[cfg(feature = "simulation")]
pub use switches::Mutant;

#[cfg(feature = "simulation")]
mod switches {
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    macro_rules! mutants {
        ($($(#[$doc:meta])* $name:ident,)*) => {
            /// One rule, broken.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            pub enum Mutant {
                $($(#[$doc])* $name,)*
            }

            impl Mutant {
                /// All of them.
                pub const ALL: &'static [Self] = &[$(Self::$name,)*];

                /// Those that the model is asked to show, and not the simulator: they need a coincidence of few slots.
                pub const OF_THE_MODEL: &'static [Self] = &[
                    Self::WriterOrder,
                    Self::CountDeadKeys,
                    Self::KeepStaleKeys,
                    Self::StaleTakesNumber,
                    Self::CancelAtAnyAge,
                    Self::CancelOutOfTurn,
                    Self::StaleAtHalf,
                    Self::TwoNumbersInASlot,
                    Self::SlotConfirms,
                    Self::TrustLastReply,
                    Self::DecisionOutlivesJump,
                ];

                /// Its name.
                pub const fn name(self) -> &'static str {
                    match self {
                        $(Self::$name => stringify!($name),)*
                    }
                }
            }
        };
    }

    mutants! {
        /// A slot is created without a listing of the inbox, however long ago the last one was.
        DropScan,
        /// The inbox is listed for every slot, however fresh the listing that a slot before vouches for.
        ListForEverySlot,
        /// A listing that was cut short counts as whole for later slots.
        InheritCutListing,
        /// Intents are carried newest base first.
        NewestFirst,
        /// A creator fills its slot with its own batch alone.
        CarryNobody,
        /// A creator that cannot read an intent leaves it out and says that it carried everything.
        LeaveOutUnreadable,
        /// A refused create is acknowledged as if it had taken effect.
        AcknowledgeOnConflict,
        /// Whoever finds its batch in a slot takes it for effective, without its verdict.
        AcknowledgeByPresence,
        /// A lost reply to a create is reported as a rejection.
        RejectOnLostReply,
        /// After a lost reply the same transactions are sent again under a new number.
        NewNumberAfterDoubt,
        /// A batch is applied whatever its number.
        ApplyOutOfTurn,
        /// A batch whose transactions were all rejected leaves its number open.
        RejectedKeepsNumber,
        /// A batch is applied however old its base.
        ApplyStale,
        /// A writer is forgotten after H slots instead of 2H.
        ForgetAtH,
        /// An identity is used again however long it was silent.
        ReuseIdAfterH,
        /// What was given up is sent again under another name.
        ResubmitAfterCancel,
        /// Whoever gives an operation up reports it rejected, whatever the log says of the cancellation.
        IgnoreCancellation,
        /// The outcome of a number is told without comparing the hash of the batch.
        HashNotInOpId,
        /// A fresh identity forms its first batch at a tail nobody confirmed.
        FreshIdAtOldTail,
        /// A slot is sent though the blob that it refers to was not written.
        SlotWithoutBlob,
        /// A cancellation takes a number that was decided already.
        CancelWhatIsDecided,
        /// A body that is overwritten keeps its nonce.
        DropNonce,
        /// A lease's next token follows from the lease object alone.
        TokenFromLeaseAlone,
        /// A lease is taken over before its life is up.
        TakeOverTooEarly,
        /// A lease that vanished is made again.
        RemakeVanished,
        /// A renewal without an answer counts.
        ExtendUnconfirmed,
        /// A lease is deleted when it is released.
        DeleteOnRelease,
        /// Whether a lease lives is told by comparing wall clocks.
        CompareWallClocks,
        /// A holder acts before its claim is read as effective.
        ActBeforeClaim,
        /// A holder believes until the reply to its release.
        BelieveUntilReleased,
        /// A 404 moves the confirmation on.
        ConfirmByAbsence,
        /// A confirmation looks at the own newest slot alone.
        CheckNewestAlone,
        /// Intents are carried in the order of their writers.
        WriterOrder,
        /// Keys of decided intents count towards the end of a listing.
        CountDeadKeys,
        /// Keys of stale intents stay, unless their writer's number has passed them.
        KeepStaleKeys,
        /// A batch that is too old decides its number all the same.
        StaleTakesNumber,
        /// A cancellation counts however old what it cancels.
        CancelAtAnyAge,
        /// A cancellation takes a number whose predecessor is not decided. It breaks no promise: decision 0003 says why it is refused all the same.
        CancelOutOfTurn,
        /// A cancellation takes the next number of a writer in the very slot that decided the one before.
        TwoNumbersInASlot,
        /// What was not decided within half of H is said never to take effect.
        StaleAtHalf,
        /// A 404 at the tail is final, however long ago the boundary was looked at.
        TrustNotFound,
        /// A create's success, and a slot, count without a look at the boundary.
        SkipBoundary,
        /// A slot that was read confirms the boundary.
        SlotConfirms,
        /// Of several replies, the one that is taken last stands for all.
        TrustLastReply,
        /// What an unconfirmed slot said of the own batch counts after the state was loaded anew.
        DecisionOutlivesJump,
        /// A snapshot leaves out who committed what last.
        SnapshotWithoutWriters,
        /// Whoever writes `ctl/head` writes what it wants, whatever is there.
        HeadGoesBack,
        /// A collector that waited for one boundary deletes up to the present one.
        DeleteToPresentBoundary,
        /// Slots are deleted as soon as the boundary has passed them.
        DeleteWithoutGrace,
        /// A reader relies on a pin without looking at the boundary afterwards.
        UnverifiedPin,
        /// Pins are listed before the boundary is raised and waited for.
        PinsBeforeWait,
        /// What no manifest names is deleted once it is old.
        SegmentsByAge,
        /// Intents are removed by their writer's newest number alone.
        InboxByNumberAlone,
        /// Blobs are removed once their number is decided, though a slot that is not collected names them.
        BlobByNumberAlone,
    }

    impl Mutant {
        /// Breaks this rule on this thread, and mends what was broken before; none mends all.
        pub fn set(mutant: Option<Self>) {
            ON.set(mutant);
        }

        pub(crate) fn is_on(self) -> bool {
            ON.get() == Some(self)
        }
    }
}
